// The client outside of a browser: follows the devices with a token, asks for something, prints what is confirmed.
import WebSocket from "ws";

import { connect } from "../../frontend/client.js";

const [url, token, name] = process.argv.slice(2);
const client = connect({ url, token, WebSocket });

const wished = new Promise((resolve) => {
  let asked = false;
  client.collection("device").subscribe((items, state) => {
    const device = [...items.values()].find((one) => one.name === name);
    if (state !== "live" || !device) return;
    if (!asked) {
      asked = true;
      client.call("device", "update", { id: device.id, desired: { on: !device.is_on } }).catch(fail);
    } else if (!device.pending) {
      resolve({ user: client.identity?.user?.username, failed: device.failed, is_on: device.is_on, status: client.status.name });
    }
  });
});

/** @param {Error} error */
function fail(error) {
  console.error(error);
  process.exit(1);
}

const refusal = await client.call("device", "update", { id: 0, desired: { on: true } }).catch((error) => error.code);
console.log(JSON.stringify({ ...(await wished), refusal }));
client.close();
