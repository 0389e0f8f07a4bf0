// The peer: `ws`, a broadcast as its manual writes it, fed by Redis pub/sub.
// Tuned by: permessage-deflate off, no client tracking, the message a Buffer made once and sent as text.
import { createClient } from "redis";
import { WebSocketServer } from "ws";

const [port, url] = process.argv.slice(2);
const rooms = new Map();
const bus = await createClient({ url }).connect();
const reader = await bus.duplicate().connect();
const server = new WebSocketServer({
  port: Number(port), host: "127.0.0.1", path: "/ws", perMessageDeflate: false, clientTracking: false, backlog: 1024,
});

server.on("connection", (socket) => {
  let room;
  socket.on("message", (text) => {
    const words = JSON.parse(text);
    if (words.say) return bus.publish("room:all", words.say);
    room = words.join;
    if (!rooms.has(room)) rooms.set(room, new Set());
    rooms.get(room).add(socket);
    socket.send("joined");
  });
  socket.on("close", () => rooms.get(room)?.delete(socket));
  socket.on("error", () => socket.terminate());
});

await reader.pSubscribe("room:*", (message, channel) => {
  for (const socket of rooms.get(channel.toString().slice(5)) ?? []) socket.send(message, { binary: false });
}, true);
console.log("ready");
