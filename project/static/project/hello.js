// The key is in the fragment, which is sent nowhere. It leaves the address bar and the history before it is posted.
const form = document.getElementById("hello");
const key = decodeURIComponent(location.hash.slice(1));
history.replaceState(null, "", location.pathname);
form.elements.namedItem("key").value = key;
if (key) {
  form.requestSubmit();
}
