// The peer: Socket.IO, rooms and emit as its manual writes them, fed by Redis pub/sub.
// Tuned by: the WebSocket transport only, permessage-deflate and HTTP compression off, no connection state recovery.
import { createServer } from "node:http";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, url] = process.argv.slice(2);
const bus = await createClient({ url }).connect();
const reader = await bus.duplicate().connect();
const http = createServer();
const io = new Server(http, {
  transports: ["websocket"], perMessageDeflate: false, httpCompression: false, serveClient: false,
});

io.on("connection", (socket) => {
  socket.on("join", (room) => {
    socket.join(room);
    socket.emit("joined");
  });
  socket.on("say", (data) => bus.publish("room:all", JSON.stringify({ data })));
});

await reader.pSubscribe("room:*", (message, channel) => {
  io.to(channel.slice(5)).emit("change", JSON.parse(message).data);
});
http.listen(Number(port), "127.0.0.1", 1024, () => console.log("ready"));
