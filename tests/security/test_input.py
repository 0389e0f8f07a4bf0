"""Hostile messages: each is answered with an error or ends the connection as documented; none is a fault of the server,
none reaches a column that it may not, and none tells what there is."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from devices.models import Device
from realtime import errors, registry
from realtime.limits import Limits
from realtime.protocol import Beat, Call, Raw, change, data_message, decode, dumps, reply
from tests import wire
from tests.app.models import Thing
from tests.devices.base import dimmer, location
from tests.library.models import Book, Chapter, Keyword, Membership, Shelf
from tests.promise.installation import SCALE
from tests.realtime.serving import Peer, Served, peer, person, served, token_of
from tests.security.effort import LONG, examples
from tests.security.nasty import NASTY, spoiled

pytestmark = pytest.mark.django_db(transaction=True)

CODES = {
    kind.code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.RealtimeError)
}  # fmt: skip
# An error that nobody foresaw; each also writes a trace into the log, which fails the test by itself.
FORESEEN = CODES - {"internal"}


@pytest.fixture
def server(settings: Any) -> Iterator[Served]:
    """One that lets its clients call as fast as they like."""
    settings.REALTIME_CALLS_PER_SECOND = settings.REALTIME_CALLS_BURST = 1e9
    with served() as found:
        yield found


@pytest.fixture
def book() -> Book:
    found = Book.objects.create(title="shown", shelf=Shelf.objects.create(name="one"), secret="hidden-secret", pages=3)
    Chapter.objects.create(book=found, name="first")
    found.keywords.add(Keyword.objects.create(word="word"))
    return found


@pytest.fixture
def staff(server: Served) -> Iterator[Peer]:
    with peer(server.port, token=token_of(person(is_staff=True))) as client:
        yield client


@pytest.fixture
def reader(server: Served, book: Book) -> Iterator[Peer]:
    """Somebody who sees one shelf."""
    user = person("reader")
    Membership.objects.create(user=user, shelf=book.shelf)
    with peer(server.port, token=token_of(user)) as client:
        yield client


def refused(answer: dict[str, Any]) -> str:
    """The code of the error that this answer is."""
    assert answer["context"]["state"] in ("error", "login_required"), answer
    code: str = answer["context"]["error"]["code"]
    assert code in FORESEEN, answer
    return code


def ask(client: Peer, verb: str, route: str, args: dict[str, Any]) -> dict[str, Any]:
    """Arguments may have any name, also one that Python's own calls stumble over."""
    client.socket.send(json.dumps({"verb": verb, "route": route, "args": args, "callbackname": "asked"}))
    return client.reply("asked")


def row(model: Any, pk: Any) -> dict[str, Any]:
    found: dict[str, Any] = model.objects.filter(pk=pk).values().get()
    return found


# -- 18: what may be set -----------------------------------------------------------------------------------------------


def test_18_no_field_of_a_model_can_be_set_but_those_the_serializer_names(staff: Peer, book: Book) -> None:
    cases = [("book", book), ("device", dimmer())]
    other = {"shelf": Shelf.objects.create(name="two").pk, "title": "new", "secret": "x"}
    for route, row_of in cases:
        model = type(row_of)
        columns = {name for field in model._meta.get_fields() for name in (field.name, getattr(field, "attname", ""))}
        closed = columns - set(registry.serializers()[model].opts.update_fields) - {"", "id"}
        assert len(closed) >= 2
        closed |= {"_state", "__class__", "shelf__name", "shelf_id", "location_id", "is_staff", "owner", "Meta", "pk"}
        for name, value in itertools.product(sorted(closed), (1, "x", None, {"name": "x"})):
            before = row(model, row_of.pk)
            if name != "pk":  # which means the id
                answer = ask(staff, "update", route, {"id": row_of.pk, name: value})
                assert refused(answer) in ("invalid", "bad_args"), (route, name)
                assert row(model, row_of.pk) == before, (route, name, value)
            count = model.objects.count()
            made = {**(other if route == "book" else {"name": "new", "type": "dimmer"}), name: value}
            assert refused(ask(staff, "create", route, made)) in ("invalid", "bad_args"), (route, name)
            assert model.objects.count() == count


def test_18_nothing_can_be_set_through_a_nested_object(staff: Peer, book: Book) -> None:
    for nested in (
        {"chapters": [{"id": 1, "book": 7}]},
        {"chapters": [{"book": {"secret": "x"}}]},
        {"chapters": [{"name": "x", "book_id": 7}]},
        {"shelf": {"id": book.shelf_id, "room": "cellar"}},
        {"shelf": {"room": "cellar"}},
        {"keywords": [{"id": 1, "book": 1}]},
    ):
        assert refused(staff.call("update", "book", id=book.pk, **nested)) == "invalid", nested
    assert Chapter.objects.values_list("book", "name").get() == (book.pk, "first")
    assert Shelf.objects.get(pk=book.shelf_id).room == ""


def test_18_a_key_that_stands_twice_is_no_call_at_all(staff: Peer, book: Book) -> None:
    staff.socket.send(
        f'{{"verb":"update","route":"book","args":{{"id":{book.pk},"title":"a","title":"b"}},"callbackname":"x"}}'
    )
    assert refused(staff.receive()) == "bad_call"
    assert Book.objects.get().title == "shown"


# -- 19 to 21: what may be asked ---------------------------------------------------------------------------------------

INJECTIONS: dict[str, Any] = {
    "secret": "hidden-secret", "secret__exact": "hidden-secret", "secret__startswith": "h", "secret__contains": "h",
    "secret__regex": "^h", "secret__isnull": False, "secret__in": ["hidden-secret"], "title__regex": "(a+)+$",
    "title__iregex": ".", "title__startswith": "s", "title__icontains": "S", "title": "shown", "title__exact": "shown",
    "shelf__name": "one", "shelf__name__contains": "o", "shelf__membership__user__password__startswith": "m",
    "shelf__membership__user__username": "reader", "user__password__startswith": "p", "chapters__name": "first",
    "keywords__word": "word", "pages__in": [3], "pages__gte": 3, "pages__range": [0, 9], "pages__isnull": False,
    "pages__date": 1, "extra__a": 1, "extra__a__contains": 1, "pk": 1, "pk__in": [1], "id": 1, "id__gt": 0,
    "shelf_id": 1, "shelf__id": 1, "shelf__pk": 1, "shelf__in__in": [1], "shelf__": 1, "__shelf": 1, "": 1, "__": 1,
    "connector": "OR", "negated": True, "Q": {"pages": 3}, "args": [1], "self": 1, "using": "default", "shelf ": 1,
    "SHELF": 1, "shelf;": 1, "shelf\"": 1, "pages__gt__lt": 1, "order_by": "secret", "ordering": "secret",
    "fields": ["secret"], "values": ["secret"], "values_list": "secret", "only": "secret", "defer": "title",
    "group_by": "secret", "annotate": {"x": "secret"}, "aggregate": {"Max": "secret"}, "x__max": 1, "limit": -1,
    "offset": 10**9, "page": 10**9, "distinct": True, "extra": {"where": ["1=1"]}, "select": "secret",
    "filter": {"secret": "x"}, "exclude": {"secret": "x"}, "raw": "SELECT 1",
}  # fmt: skip
# These begin with the underscore of the protocol's own words.
RESERVED_INJECTIONS: dict[str, Any] = {
    "_connector": "OR", "_negated": True, "_state": 1, "_meta": 1, "_order_by": "secret", "_limit": -1, "_filter": {},
}  # fmt: skip


def test_19_20_a_subscription_takes_the_filters_of_its_router_and_nothing_else(reader: Peer, book: Book) -> None:
    told = set()
    for name, value in INJECTIONS.items():
        answer = ask(reader, "subscribe", "book", {"channel": "x", "_snapshot": True, name: value})
        assert refused(answer) in ("bad_filter", "bad_args"), name
        told.add((answer["context"]["error"]["code"], answer["context"]["error"]["message"]))
    for name, value in RESERVED_INJECTIONS.items():
        assert refused(ask(reader, "subscribe", "book", {"channel": "x", name: value})) == "bad_args", name
    # The same words for what exists and what does not, and no column among them.
    assert {message for code, message in told if code == "bad_filter"} == {"This filter is not allowed here."}
    assert not any(word in message for _, message in told for word in ("secret", "password", "membership", "pages"))
    assert reader.subscribe("book", shelf=book.shelf_id)["context"]["state"] == "success"


def test_19_20_a_list_is_never_narrowed_ordered_or_cut_by_what_a_client_invents(reader: Peer, book: Book) -> None:
    Book.objects.create(title="also", shelf=book.shelf)
    whole = reader.call("get_list", "book")["data"]
    for name, value in {**INJECTIONS, **RESERVED_INJECTIONS}.items():
        answer = ask(reader, "get_list", "book", {name: value})
        assert answer["data"] == whole or refused(answer) in ("bad_args", "bad_filter", "invalid"), name


def test_19_guessing_a_secret_letter_by_letter_learns_nothing(reader: Peer) -> None:
    answers = {
        json.dumps({**answer, "context": {**answer["context"], "client_callback_name": None}})
        for guess in ("h", "hi", "hidden-secret", "x", "%", "")
        for lookup in ("startswith", "contains", "exact", "regex", "gt")
        for answer in [reader.subscribe("book", **{f"secret__{lookup}": guess})]
    }
    assert len(answers) == 1


def test_19_a_huge_list_in_a_filter_is_refused(reader: Peer, book: Book) -> None:
    assert refused(reader.subscribe("book", shelf__in=list(range(101)))) == "too_many"
    assert refused(reader.subscribe("book", shelf__in=[book.shelf_id] * 5000)) == "too_many"
    assert reader.subscribe("book", shelf__in=list(range(100)))["context"]["state"] == "success"


def test_20_a_page_is_one_that_exists(staff: Peer) -> None:
    Shelf.objects.bulk_create(Shelf(name=f"shelf {number}") for number in range(5))
    for page in (-1, 0, 4, 10**9, 2**63, 2**64, 1.0, 1.5, True, None, "1", "2; DROP", [], [1], {}):
        assert refused(staff.call("get_list", "shelf", _page=page)) == "bad_args", page
    for name in ("limit", "_limit", "page_size", "per_page", "paginate_by"):
        answer = staff.call("get_list", "shelf", **{name: 10**9})
        assert len(answer["data"] or ()) <= 2, name


def test_21_no_pattern_of_a_client_is_ever_run(reader: Peer, server: Served, book: Book) -> None:
    Book.objects.create(title="a" * 39 + "!", shelf=book.shelf)
    with peer(server.port) as canary:
        for verb, name in itertools.product(("subscribe", "get_list"), ("title__regex", "title__iregex")):
            reader.send(verb, "book", **{"channel": "x", name: "(a+)+$"} if verb == "subscribe" else {name: "(a+)+$"})
            begun = time.monotonic()
            assert canary.call("ping", "room")["data"] == "pong"
            assert time.monotonic() - begun < 0.5 * SCALE
        # What may be asked of a text is a part of it, literally.
        answer = reader.subscribe("book", title__contains="(a+)+$")
        assert answer["data"] == []


# -- 22, 23: what is no message, and what nearly is one ----------------------------------------------------------------

json_texts = st.recursive(
    st.sampled_from(sorted(NASTY.values()))
    | st.integers().map(str)
    | st.floats().map(lambda number: json.dumps(number))
    | st.text().map(lambda text: json.dumps(text, ensure_ascii=False))
    | st.text("\\u0d8cfabe\"'/x", max_size=12).map(lambda text: f'"{text}"'),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda members: f"[{','.join(members)}]")
        | st.lists(
            st.tuples(
                st.sampled_from(["verb", "route", "args", "callbackname", "heartbeat", "__proto__", "", "a"]), inner
            ),
            max_size=6,
        ).map(lambda members: "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in members) + "}")
    ),
    max_leaves=12,
)


@pytest.mark.django_db(databases=[])
@examples(400)
@given(json_texts | st.text() | st.binary())
def test_22_whatever_is_sent_is_a_call_a_heartbeat_or_refused_and_never_both(text: str | bytes) -> None:
    try:
        read = decode(text)
    except errors.BadCall as refusal:
        assert refusal.code == "bad_call"
        reply(None, None, error=refusal).encode()
    except errors.TooLarge:
        assert len(text if isinstance(text, bytes) else text.encode()) > Limits().message_bytes
    else:
        assert isinstance(read, Call | Beat)
        # What was read can be said again, strictly, and is the same then: no NaN, no half pair, no NUL came through.
        if isinstance(read, Call):
            again = json.dumps({"verb": read.verb, "route": read.route, "args": read.args}, allow_nan=False)
            assert decode(again) == Call(read.verb, read.route, read.args)
            assert "\\u0000" not in again


@pytest.mark.django_db(databases=[])
@examples(150)
@given(st.integers(0, 60), st.sampled_from(["[", '{"a":']), st.integers(0, 60))
def test_22_nesting_is_refused_beyond_the_limit_and_only_there(depth: int, kind: str, limit: int) -> None:
    end = "]" if kind == "[" else "}"
    inner = "1"
    text = f'{{"verb":"v","route":"r","args":{{"x":{kind * depth}{inner}{end * depth}}}}}'
    allowed = depth + 2 <= limit
    if allowed:
        assert isinstance(decode(text, Limits(json_depth=limit)), Call)
    else:
        with pytest.raises(errors.BadCall):
            decode(text, Limits(json_depth=limit))


def test_22_hostile_json_is_answered_and_the_connection_stays(staff: Peer) -> None:
    texts = ["", " ", "null", "true", "1", '"x"', "[]", "[{}]", "{}", "{", "}", "\ufeff{}", "//", "{'verb':1}", "\x00"]
    texts += ['{"verb":"ping","route":"room"}' + more for more in ('{"verb":"ping","route":"room"}', ",", "\x00", "]")]
    texts += [f'{{"verb":"echo","route":"room","args":{{"text":{value}}}}}' for value in NASTY.values()]
    for text in texts:
        staff.socket.send(text)
        answer = staff.receive()
        if answer["context"]["state"] == "error":
            assert refused(answer) in ("bad_call", "bad_args"), text[:80]
        else:
            # What was let through comes back as it was.
            sent = json.loads(text)["args"]["text"]
            assert answer["data"]["text"] == sent, text[:80]
    assert staff.call("ping", "room")["data"] == "pong"


def valid(book: Book, device: Device) -> list[dict[str, Any]]:
    """Messages that the server answers with success, of every verb and form there is."""
    return [
        {"verb": "whoami", "route": "session"},
        {"verb": "visible", "route": "session", "args": {"visible": True}},
        {"verb": "subscribe", "route": "book", "args": {
            "channel": "s", "shelf": book.shelf_id, "pages__gt": 1, "on_loan": False, "title__contains": "s",
            "_snapshot": True, "_since": {"book|": ["k3f9", 1041]},
        }},
        {"verb": "subscribe", "route": "session", "args": {"subscriptions": [
            {"route": "book", "channel": "l1", "shelf__in": [book.shelf_id], "_snapshot": True},
            {"route": "room", "channel": "l2", "room": "r1"},
        ]}},
        {"verb": "unsubscribe", "route": "book", "args": {"channel": "s"}},
        {"verb": "get_list", "route": "shelf", "args": {"_page": 1}},
        {"verb": "get_single", "route": "book", "args": {"id": book.pk}},
        {"verb": "get_list", "route": "status", "args": {"device": device.pk, "_page": 1}},
        {"verb": "subscribe", "route": "attribute", "args": {
            "channel": "h", "device": device.pk, "name": "level", "valid_at__gt": "2026-01-01T00:00:00+00:00",
        }},
        {"verb": "update", "route": "book", "args": {
            "id": book.pk, "title": "again", "pages": 2, "price": "1.25", "rating": 0.5, "on_loan": True,
            "due": "2026-01-01T00:00:00+00:00", "code": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "extra": {"a": [1]},
            "shelf": book.shelf_id, "chapters": [{"name": "last"}], "cover": "",
        }},
        {"verb": "update", "route": "device", "args": {"id": device.pk, "desired": {"on": True, "level": 5}}},
        {"verb": "report", "route": "device", "args": {"id": device.pk, "values": {"on": True}, "version": 1}},
        {"verb": "lend", "route": "book", "args": {"id": book.pk, "days": 3}},
        {"verb": "echo", "route": "room", "args": {"text": "x", "loud": True}},
    ]  # fmt: skip


# Messages at a time: what costs most is waiting for each.
TOGETHER = 10


def test_23_every_leaf_of_every_valid_message_may_be_anything_or_nothing(staff: Peer, book: Book) -> None:
    messages = valid(book, dimmer())
    for message in messages:
        staff.socket.send(json.dumps({**message, "callbackname": "v"}))
        for _ in message.get("args", {}).get("subscriptions", [0]):
            assert (answer := staff.reply("v"))["context"]["state"] == "success", answer
    messages += [frame for name in wire.names("call") if isinstance(frame := wire.frame(name), dict)]
    # Of every third in a short run; which ones is always the same.
    every = [case for message in messages for case in spoiled({**message, "callbackname": "c1"})][:: 1 if LONG else 3]
    assert len(every) > 1000
    for start in range(0, len(every), TOGETHER):
        together = every[start : start + TOGETHER]
        for _, text in together:
            staff.socket.send(text)
        for answer in _until_pong(staff):
            error = answer["context"].get("error")
            assert error is None or error["code"] in FORESEEN, (together, answer)


def _until_pong(client: Peer) -> Iterator[dict[str, Any]]:
    """The replies before the one that comes last: whatever was asked until now has been answered then."""
    name = client.send("ping", "room")
    while (answer := client.receive()).get("context", {}).get("client_callback_name") != name:
        if answer["type"] == "reply":
            yield answer


# -- 24, 25: verbs and ids ---------------------------------------------------------------------------------------------


VERBS: list[Any] = [
    "", "nothing", "__init__", "__class__", "answer", "run", "send", "_open", "_answer", "visible_object", "caller",
    "get_query_set", "user", "serializer_class", "get_subscription_contexts", "mro", "is_verb", "created", "fresh",
    "on_error", "publish", "get_subscription_channels", "PING", "ping ", "pi\u200bng", "x" * 10_000, None, True, 1, 1.5,
    [], ["ping"], {}, {"ping": 1},
]  # fmt: skip


def test_24_a_verb_is_one_that_the_router_offers(staff: Peer) -> None:
    for route, verb in itertools.product(("book", "room", "session", "device", "shelf"), VERBS):
        staff.socket.send(json.dumps({"verb": verb, "route": route, "args": {}, "callbackname": "v"}))
        assert refused(staff.reply("v")) in ("unknown_verb", "bad_call"), (route, verb)
    for route in ("", "nothing", "__class__", "BOOK", "book ", "x" * 10_000, None, 1, [], {"book": 1}):
        staff.socket.send(json.dumps({"verb": "get_list", "route": route, "args": {}, "callbackname": "v"}))
        assert refused(staff.reply("v")) in ("unknown_route", "bad_call"), route
    assert refused(staff.call("delete", "shelf", id=1)) == "unknown_verb"
    assert staff.call("ping", "room")["data"] == "pong"


IDS: list[Any] = [-1, 0, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 1.0, 1.5, -0.0, True, False, None, "", " ", "1 ",
                  "1", "+1", "0x1", "1e0", "١", "１", "null", "%", "1 OR 1=1", "1;--", [], [1], [[1]], {}, {"pk": 1},
                  {"id": 1}, "x" * 5000]  # fmt: skip


def test_25_an_id_is_the_key_of_an_object_of_that_route_and_nothing_like_it(staff: Peer, book: Book) -> None:
    device = dimmer()
    for route, key in (("book", book.pk), ("device", device.pk)):
        for verb in ("get_single", "update", "delete"):
            for id_ in IDS:
                # A text of its digits may mean an integer key: SwampDragon's pages send what stands in the address.
                if isinstance(id_, int | float | str) and str(id_).strip().lstrip("+") in (str(key), f"{key}.0"):
                    continue
                answer = staff.call(verb, route, id=id_)
                assert answer["context"]["state"] == "error" or answer["data"]["id"] == key, (route, verb, id_)
                if answer["context"]["state"] == "error":
                    assert refused(answer) in ("bad_args", "not_found", "invalid"), (route, verb, id_)
                else:
                    assert verb != "delete", (route, id_)
    assert Book.objects.filter(pk=book.pk).exists()
    assert Device.objects.filter(pk=device.pk).exists()


def test_25_an_id_of_another_type_is_another_object(staff: Peer, book: Book) -> None:
    uid = dimmer().uid
    for id_ in (uid, "book", str(book.code), "dimmer", location().name):
        assert refused(staff.call("get_single", "book", id=id_)) in ("bad_args", "not_found"), id_


# -- 26, 27: what comes out --------------------------------------------------------------------------------------------


def strictly(text: str) -> Any:
    """As a browser's JSON.parse would read it."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


out = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text() | st.datetimes() | st.dates()
    | st.datetimes(timezones=st.timezones()) | st.times() | st.timedeltas() | st.uuids() | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    | st.tuples(inner) | st.sets(st.integers(), max_size=2),
    max_leaves=6,
)  # fmt: skip


@pytest.mark.django_db(databases=[])
@examples(300)
@given(out)
def test_26_a_frame_is_json_that_browsers_read_or_is_not_built(data: Any) -> None:
    call = Call("v", "r", {}, "c")
    builders: list[Callable[[], str]] = [
        lambda: reply(call, data),
        lambda: reply(call, None, error=errors.Invalid(data=data)),
        lambda: change("c|", "updated", data, 1),
        lambda: data_message("c", data),
        lambda: reply(call, Raw(dumps(data))),
    ]
    for build in builders:
        try:
            text = build()
        except (ValueError, TypeError):
            continue
        strictly(text)


def test_26_a_number_that_json_cannot_say_is_neither_stored_nor_shown(staff: Peer, book: Book) -> None:
    for value in ("NaN", "Infinity", "-Infinity", "nan", "inf", "1e400", "1e999"):
        for name in ("rating", "price"):
            assert refused(staff.call("update", "book", id=book.pk, **{name: value})) == "invalid", (name, value)
    assert refused(staff.call("update", "book", id=book.pk, price=1e300)) == "invalid"


def test_26_what_raw_sql_stored_as_infinity_never_leaves(
    staff: Peer, server: Served, book: Book, expect_log: Any
) -> None:
    expect_log("realtime", "cannot be published")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE library_book SET rating = %s", [float("inf")])
    assert staff.subscribe("book")["data"] == []
    answer = staff.call("get_list", "book")
    assert strictly(json.dumps(answer))["data"] == []
    assert staff.call("get_single", "book", id=book.pk)["context"]["state"] == "error"
    Book.objects.update(rating=1.0)
    while staff.change().get("data", {}).get("rating") != 1.0:
        pass


def test_27_nul_and_half_pairs_are_refused_wherever_a_text_may_stand(staff: Peer, book: Book) -> None:
    for bad in ("\\u0000", "a\\u0000b", "\\ud83d", "\\udc00", "\\ud83dx", "\\udc00\\ud83d"):
        for args in (f'"id":{book.pk},"title":"{bad}"', f'"id":{book.pk},"extra":{{"{bad}":1}}', f'"id":"{bad}"',
                     f'"id":{book.pk},"chapters":[{{"name":"{bad}"}}]', f'"{bad}":1'):  # fmt: skip
            staff.socket.send(f'{{"verb":"update","route":"book","args":{{{args}}},"callbackname":"x"}}')
            assert refused(staff.receive()) == "bad_call", args
    # A pair that is whole is a letter.
    staff.socket.send(f'{{"verb":"update","route":"book","args":{{"id":{book.pk},"title":"\\ud83d\\ude00"}}}}')
    assert staff.receive()["context"]["state"] == "success"
    assert Book.objects.get().title == "😀"


def test_27_a_name_with_every_letter_there_is_comes_back_as_it_was(staff: Peer) -> None:
    thing = Thing.objects.create(name="x")
    for text in (
        "\u202e",
        "\u2028\u2029",
        "\x01\x1f\x7f",
        "\ufeff",
        "\uffff",
        "\U0010ffff",
        "e\u0301",
        "\r\n\t",
        "</script>",
    ):
        assert staff.call("update", "thing", id=thing.pk, note=text)["context"]["state"] == "success", text
        assert staff.call("get_single", "thing", id=thing.pk)["data"]["note"] == text
