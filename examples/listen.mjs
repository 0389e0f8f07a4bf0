// Prints every device, then each change of one, for as long as it runs: see README.md.
import WebSocket from "ws";

import { connect } from "../frontend/client.js";

const client = connect({ url: process.argv[2], token: process.env.MARSHLIGHT_TOKEN, WebSocket });

client.onStatus(({ name }) => {
  console.error(name);
  if (name === "signed_out") process.exitCode = 1;
});

client.collection("device").subscribe((devices, _state, change) => {
  if (change?.action === "snapshot") devices.forEach((device) => console.log("is", JSON.stringify(device)));
  else if (change) console.log(change.action, JSON.stringify(change.after ?? change.before));
});
