// The lab's stand-in for Pexip's web app: joins by the client API v2 with camera and microphone, nothing more.
"use strict";

const part = (name) => document.querySelector(`[data-testid="${name}"]`);
const query = new URLSearchParams(location.search);
const alias = decodeURIComponent(location.pathname.split("/")[3] ?? "");
const root = `/api/client/v2/conferences/${encodeURIComponent(alias)}`;

const GATHERING_MS = 2000; // candidates that come later are not needed on one machine
const RELISTEN_MS = 1000;

const WORDS = {
  joining: "Joining…",
  waiting: "You are in. We are calling an agent for you, please wait.",
  connected: "You are connected.",
  ended: "The call has ended. You can close this page.",
  refused: "This call cannot be joined.",
  failed: "Something went wrong.",
};

let token = "";
let me = "";
let call = "";
let peer;
let events;
let refreshing;
let refreshed;
let camera;

function show(state, detail = "") {
  document.body.dataset.state = state;
  part("message").textContent = [WORDS[state], detail].filter(Boolean).join(" ");
  part("hang-up").disabled = !["waiting", "connected"].includes(state);
}

async function post(path, body, headers = {}) {
  const answer = await fetch(root + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...(token && { token }), ...headers },
    body: JSON.stringify(body ?? {}),
  });
  const isJson = answer.headers.get("content-type")?.startsWith("application/json");
  const result = isJson ? (await answer.json()).result : await answer.text();
  return { status: answer.status, result };
}

async function requestToken() {
  const body = { display_name: query.get("name") || "Customer", call_tag: query.get("callTag") ?? "" };
  const pin = query.get("pin");
  let answer = await post("/request_token", body, pin ? { pin } : {});
  if (answer.status === 403 && answer.result.guest_pin === "none" && !pin) {
    answer = await post("/request_token", body, { pin: "none" });
  }
  return answer;
}

function listen() {
  events = new EventSource(`${root}/events?token=${encodeURIComponent(token)}`);
  const seen = ({ data }) => {
    const participant = JSON.parse(data);
    if (participant.uuid === me) show(participant.service_type === "waiting_room" ? "waiting" : "connected");
  };
  events.addEventListener("participant_create", seen);
  events.addEventListener("participant_update", seen);
  events.addEventListener("disconnect", ({ data }) => leave(JSON.parse(data).reason));
  // A browser tries again with the address it has, whose token is good no more.
  events.addEventListener("error", ({ target }) => {
    if (target === events && target.readyState === EventSource.CLOSED) setTimeout(() => token && listen(), RELISTEN_MS);
  });
}

async function startCall() {
  peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  for (const track of camera.getTracks()) peer.addTrack(track, camera);
  if (!camera.getVideoTracks().length) peer.addTransceiver("video", { direction: "recvonly" });
  peer.ontrack = ({ track }) => {
    if (track.kind === "video") part("remote-video").srcObject = new MediaStream([track]);
  };
  await peer.setLocalDescription(await peer.createOffer());
  await new Promise((resolve) => {
    const done = () => peer.iceGatheringState === "complete" && resolve();
    peer.addEventListener("icegatheringstatechange", done);
    setTimeout(resolve, GATHERING_MS);
    done();
  });
  const answer = await post(`/participants/${me}/calls`, {
    call_type: "WEBRTC",
    sdp: peer.localDescription.sdp,
    media_type: "video",
  });
  if (answer.status !== 200) throw new Error(String(answer.result));
  call = answer.result.call_uuid;
  await peer.setRemoteDescription({ type: "answer", sdp: answer.result.sdp });
  await post(`/participants/${me}/calls/${call}/ack`);
}

// The token before is good no more: whoever still asks with it is refused.
async function refresh() {
  const fresh = await post("/refresh_token");
  if (fresh.status === 200 && token) token = fresh.result.token;
}

function stop() {
  clearInterval(refreshing);
  events?.close();
  peer?.close();
  for (const track of camera?.getTracks() ?? []) track.stop();
  token = "";
}

function leave(reason) {
  stop();
  show("ended", reason && `(${reason})`);
}

async function hangUp() {
  part("hang-up").disabled = true;
  clearInterval(refreshing);
  await refreshed;
  await post(`/participants/${me}/calls/${call}/disconnect`);
  await post("/release_token", { reason: "User initiated disconnect" });
  leave();
}

// How many pictures of the agent have come, and of the customer have gone.
window.labStats = async () => {
  const stats = { framesReceived: 0, framesDecoded: 0, framesSent: 0, connectionState: peer?.connectionState ?? "new" };
  if (!peer || peer.signalingState === "closed") return stats;
  for (const report of (await peer.getStats()).values()) {
    if (report.type === "inbound-rtp" && report.kind === "video") {
      stats.framesReceived += report.framesReceived ?? 0;
      stats.framesDecoded += report.framesDecoded ?? 0;
    }
    if (report.type === "outbound-rtp" && report.kind === "video") stats.framesSent += report.framesSent ?? 0;
  }
  return stats;
};

async function join() {
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: true, audio: query.get("callType") !== "videoonly" });
  } catch (error) {
    show("failed", `Camera and microphone are needed: ${error.name}.`);
    return;
  }
  part("own-video").srcObject = camera;
  const answer = await requestToken();
  if (answer.status !== 200) {
    stop();
    show("refused", typeof answer.result === "string" ? answer.result : "A PIN is needed, which is not in the link.");
    return;
  }
  token = answer.result.token;
  me = answer.result.participant_uuid;
  listen();
  refreshing = setInterval(() => {
    refreshed = refresh();
  }, (Number(answer.result.expires) * 1000) / 3);
  await startCall();
}

part("hang-up").addEventListener("click", hangUp);
addEventListener("pagehide", () => {
  if (!token) return;
  const body = new Blob([JSON.stringify({ reason: "Browser closed" })], { type: "application/json" });
  navigator.sendBeacon(`${root}/release_token?token=${encodeURIComponent(token)}`, body);
});
join().catch((error) => {
  stop();
  show("failed", error.message);
});
