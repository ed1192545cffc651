// Ways out of the machine: addresses that answer in any way, and names that are looked up.
import { createSocket } from "node:dgram";
import { lookup, Resolver } from "node:dns/promises";
import { connect } from "node:net";
import { isRoot, readAll, run, TRY_MS } from "./common.mjs";

const ME = process.argv[1];

/** `host` has the addresses of the machine's host and the ports on which it listens for us. */
export async function network(host) {
  if (isRoot) {
    run("/bin/busybox", ["ip", "route", "add", "default", "via", "10.0.2.2"]);
    run("/bin/busybox", ["ip", "-6", "route", "add", "default", "dev", "eth0"]);
  }
  const [brokerHost, brokerPort] = host.broker;
  const addresses = [
    [brokerHost, brokerPort],
    // The broker's host with what else listens there.
    ...[22, 80, 6379, 8080, ...host.ports].map((port) => [brokerHost, port]),
    ...host.addresses.flatMap((address) => host.ports.map((port) => [address, port])),
    ...[22, 53, 80, 443, 2375, 3000, 3001, 6379, 8081, host.tcp].map((port) => ["10.0.2.2", port]),
    ...host.addresses.flatMap((address) => [22, 80, host.tcp].map((port) => [address, port])),
    ["10.0.2.2", 8080],
    ["10.0.2.3", 53],
    ["10.0.2.4", 445],
    ["169.254.169.254", 80],
    ["169.254.170.2", 80],
    ["169.254.169.253", 53],
    ["1.1.1.1", 443],
    ["8.8.8.8", 53],
    ["10.0.0.1", 80],
    ["192.168.0.1", 80],
    ["192.168.1.1", 443],
    ["172.16.0.1", 22],
    ["172.17.0.1", 2375],
    ["fd00:ec2::254", 80],
    ["fe80::1", 80],
    ["fe80::1%eth0", 80],
    ["fec0::2", host.tcp],
    ["2606:4700:4700::1111", 443],
    ["::ffff:10.0.2.2", host.tcp],
    ["::1", 8080],
    ...[22, 80, 443, 3000, 5432, 6379, 9229, host.tcp].map((port) => ["127.0.0.1", port]),
  ];
  const tried = await Promise.all(addresses.map(async ([to, port]) => [`${to}:${port}`, await knock(to, port)]));
  const datagrams = await Promise.all(
    [
      ...["10.0.2.2", "127.0.0.1", "255.255.255.255", "10.0.2.255", "224.0.0.1", ...host.addresses].map((to) => [
        to,
        host.udp,
      ]),
      ["224.0.0.251", 5353],
      ["224.0.0.252", 5355],
      ["239.255.255.250", 1900],
      ["169.254.169.123", 123],
    ].map(async ([to, port]) => [`udp ${to}:${port}`, await ask(to, port)]),
  );
  return {
    reached: tried.filter(([, outcome]) => outcome === "connected").map(([address]) => address),
    answered: datagrams.filter(([, outcome]) => outcome === "answered").map(([address]) => address),
    tried: tried.length + datagrams.length,
    channel: tried[0][1],
    raw: rawPackets(host),
    control: await knock("127.0.0.1", 8080),
  };
}

/** The same as root in the network in which the agent dials the broker. */
export function networkOfAgent(task, host) {
  return run("/bin/busybox", ["nsenter", "-t", "1", "-n", process.execPath, ME, task, "-", JSON.stringify(host)]);
}

/** Names, asked for in every way there is. Which of them came back. */
export async function names(host) {
  const label = `leak-${process.pid}.example.com`;
  const servers = ["10.0.2.3", "10.0.2.2", "127.0.0.1", "127.0.0.53", "8.8.8.8", "169.254.169.253", ...host.addresses];
  const [byUdp, byTcp, byLibrary, overTls] = await Promise.all([
    Promise.all(servers.map(async (to) => [`udp ${to}`, await ask(to, 53)])),
    Promise.all(servers.map(async (to) => [`tcp ${to}`, await knock(to, 53)])),
    Promise.all(servers.map(async (to) => [`resolver ${to}`, await resolve(to, label)])),
    Promise.all(
      [
        ["1.1.1.1", 443],
        ["8.8.8.8", 443],
        ["1.1.1.1", 853],
        ["9.9.9.9", 853],
      ].map(async ([to, port]) => [`tls ${to}:${port}`, await knock(to, port)]),
    ),
  ]);
  const system = await lookup(label).then(
    ({ address }) => address,
    (error) => error.code,
  );
  const helpers = [
    ["getent", "hosts", label],
    ["getent", "ahosts", label],
    ["/bin/busybox", "nslookup", label, "10.0.2.3"],
  ].map(([command, verb, ...args]) => [`${command} ${verb}`, run(command, [verb, ...args]).status]);
  const answered = [...byUdp, ...byTcp, ...byLibrary, ...overTls]
    .filter(([, outcome]) => outcome === "answered" || outcome === "connected")
    .map(([how]) => how);
  return {
    answered: [...answered, ...helpers.filter(([, code]) => code === 0).map(([how]) => how)],
    tried: byUdp.length + byTcp.length + byLibrary.length + overTls.length + helpers.length + 1,
    system,
    resolvers: (readAll("/etc/resolv.conf") ?? "").split("\n").filter((line) => line.startsWith("nameserver")),
  };
}

async function resolve(server, name) {
  const resolver = new Resolver({ timeout: TRY_MS / 2, tries: 1 });
  resolver.setServers([server]);
  return resolver.resolve4(name).then(
    () => "answered",
    (error) => (error.code === "ENOTFOUND" ? "answered" : error.code),
  );
}

export function knock(host, port) {
  return new Promise((done) => {
    const socket = connect({ host, port, timeout: TRY_MS });
    socket.on("connect", () => socket.destroy(done("connected")));
    socket.on("timeout", () => socket.destroy(done("ETIMEDOUT")));
    socket.on("error", (error) => done(error.code));
  });
}

/** One datagram that a name server understands, with an address of our own to answer to. */
function ask(host, port) {
  const question = Buffer.from("000101000001000000000000076578616d706c6503636f6d0000010001", "hex");
  return new Promise((done) => {
    const socket = createSocket("udp4");
    const end = (outcome) => {
      clearTimeout(timer);
      socket.close();
      done(outcome);
    };
    const timer = setTimeout(end, TRY_MS, "silence");
    socket.on("message", () => end("answered"));
    socket.on("error", (error) => end(error.code));
    socket.bind(0, () => {
      try {
        socket.setBroadcast(true);
      } catch {
        // Where it may not, the broadcast is refused.
      }
      socket.send(question, port, host, (error) => error && end(error.code));
    });
  });
}

/** Packets made by hand: whole IP packets with a datagram in them, and whole frames to everybody on the link. */
function rawPackets(host) {
  const outcomes = {};
  for (const to of ["10.0.2.2", "255.255.255.255", ...host.addresses.filter((one) => !one.includes(":"))]) {
    const packet = datagram("10.0.2.15", to, host.udp).toString("hex");
    const script = `use Socket; socket(my $s, AF_INET, SOCK_RAW, 255) or exit 10 + 0; setsockopt($s, SOL_SOCKET, SO_BROADCAST, 1);
      send($s, pack("H*", "${packet}"), 0, sockaddr_in(0, inet_aton("${to}"))) or exit 20; exit 0`;
    outcomes[`ip ${to}`] = run("perl", ["-e", script]).status;
    const frame = Buffer.concat([
      Buffer.from("ffffffffffff5254001234560800", "hex"),
      datagram("10.0.2.15", to, host.udp),
    ]);
    // 17 is AF_PACKET, 0x0300 every protocol, 2 the first network card after loopback.
    const link = `use Socket; socket(my $s, 17, SOCK_RAW, 0x0300) or exit 10;
      send($s, pack("H*", "${frame.toString("hex")}"), 0, pack("SnlSCCa8", 17, 0x0800, 2, 0, 0, 6, "\\xff" x 6)) or exit 20; exit 0`;
    outcomes[`frame ${to}`] = run("perl", ["-e", link]).status;
  }
  outcomes["ping"] = run("/bin/busybox", ["ping", "-c", "1", "-W", "1", "8.8.8.8"]).status;
  return outcomes;
}

/** An IPv4 packet with a UDP datagram. The kernel fills in the header's checksum; 0 means that UDP's is not used. */
function datagram(from, to, port) {
  const text = Buffer.from("raw packet");
  const packet = Buffer.alloc(28 + text.length);
  packet.writeUInt8(0x45, 0);
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt8(64, 8);
  packet.writeUInt8(17, 9);
  Buffer.from(from.split(".").map(Number)).copy(packet, 12);
  Buffer.from(to.split(".").map(Number)).copy(packet, 16);
  packet.writeUInt16BE(checksum(packet.subarray(0, 20)), 10);
  packet.writeUInt16BE(40_000, 20);
  packet.writeUInt16BE(port, 22);
  packet.writeUInt16BE(8 + text.length, 24);
  text.copy(packet, 28);
  return packet;
}

function checksum(header) {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) {
    sum += header.readUInt16BE(at);
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return ~sum & 0xffff;
}
