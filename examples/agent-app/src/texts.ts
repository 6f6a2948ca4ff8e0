/** Every word that an agent may read. */

export type Trouble =
  | "config"
  | "no-conversation-id"
  | "conversation-not-filled-in"
  | "insecure-page"
  | "sign-in-refused"
  | "sign-in-failed"
  | "expired"
  | "not-permitted"
  | "genesys-busy"
  | "genesys-unreachable"
  | "not-on-call"
  | "no-name"
  | "no-conference"
  | "wrong-division"
  | "not-bound"
  | "policy-busy"
  | "policy-unreachable"
  | "conference-over"
  | "no-node"
  | "pin"
  | "room-refused"
  | "node-busy"
  | "node-unreachable"
  | "no-media"
  | "removed"
  | "elsewhere"
  | "taken-over"
  | "unexpected";

export const TROUBLE: Readonly<Record<Trouble, string>> = {
  config: "This app is not set up correctly. Ask your administrator to correct its config.json.",
  "no-conversation-id":
    "This app was opened without a conversation. Open it from the call in Genesys Cloud; if you did, ask your " +
    "administrator to put ?conversationid={{pcConversationId}} into the widget's address.",
  "conversation-not-filled-in":
    "Genesys Cloud did not fill in the placeholder in this app's address. Open the app from a call; if you did, ask your " +
    "administrator to write ?conversationid={{pcConversationId}}, spelt so, into the widget's address.",
  "insecure-page": "The browser gives this page no camera. Ask your administrator to serve this app over https.",
  "sign-in-refused": "Genesys Cloud did not let you sign in. Press Retry to sign in again.",
  "sign-in-failed": "Signing in to Genesys Cloud did not finish. Press Retry to sign in again.",
  expired: "Your sign-in to Genesys Cloud has expired. Press Retry to sign in again.",
  "not-permitted":
    "Genesys Cloud does not let you read this call. Ask your administrator for the scopes conversations:readonly, " +
    "users:readonly and notifications, then press Retry.",
  "genesys-busy": "Genesys Cloud is busy. Wait a moment, then press Retry.",
  "genesys-unreachable": "Genesys Cloud cannot be reached. Check your network, then press Retry.",
  "not-on-call": "You are not on this call. Answer it first, then press Retry.",
  "no-name": "This call carries no call id, neither in its caller's name nor in the address. Go on by voice, or press Retry.",
  "no-conference":
    "There is no video room for this call; it may be an ordinary phone call. Go on by voice, or press Retry.",
  "wrong-division":
    "You are not allowed to see this video room. Ask your supervisor to give you access, then press Retry.",
  "not-bound":
    "The policy server does not find you on this customer's call. Wait until you are connected, then press Retry.",
  "policy-busy": "The video room cannot be looked up at the moment. Wait a moment, then press Retry.",
  "policy-unreachable": "The policy server cannot be reached. Check your network, then press Retry.",
  "conference-over":
    "The video room of this call has ended. Go on by voice, or press Retry if the customer comes back.",
  "no-node": "Nobody said where the video room is. Ask your administrator to set POLICY_NODE, then press Retry.",
  pin: "The video room does not accept its PIN. Press Retry to look it up again.",
  "room-refused": "The video room does not let you in. Press Retry to look it up again.",
  "node-busy": "The video system has no room for another participant. Wait a moment, then press Retry.",
  "node-unreachable": "The video system cannot be reached. Check your network or VPN, then press Retry.",
  "no-media": "No video gets through. Check your network, VPN or firewall, then press Retry.",
  removed: "You were removed from the video room. Press Retry to join again.",
  elsewhere: "Video of this call is already open in another window. Use that one, or press Retry to move it here.",
  "taken-over": "Video of this call has moved to another window. Use that one, or press Retry to move it here.",
  unexpected: "Something went wrong in this app. Press Retry; if it happens again, tell your administrator.",
};

export type CameraTrouble = "refused" | "missing" | "busy";

export const CAMERA: Readonly<Record<CameraTrouble, string>> = {
  refused:
    "The browser does not give this page your camera. Allow the camera beside the address bar, then press Retry.",
  missing: "No camera was found. Connect one, then press Retry.",
  busy: "Your camera cannot be used. Close other programs that use it, then press Retry.",
};

export type Status = "signing-in" | "looking-up" | "waiting" | "joining" | "joined" | "held" | "ended" | "failed";

export const STATUS: Readonly<Record<Status, string>> = {
  "signing-in": "Signing in to Genesys Cloud …",
  "looking-up": "Looking up the call …",
  waiting: "Waiting",
  joining: "Joining the video room …",
  joined: "In the video room",
  held: "On hold",
  ended: "Video has ended",
  failed: "No video",
};

export const RINGING = "Answer the call to see the customer.";
export const CONSULTED = "Video starts when the call is transferred to you.";
export const NO_ROOM_YET = "The customer is not in the video room yet. Video starts as soon as the room is there.";
export const LEFT = "You have left the call. Video starts again if the call comes back to you.";
export const OVER = "The call has ended.";
export const CUSTOMER_LEFT =
  "The customer has left the video room. The call ends in a few seconds unless the customer comes back.";
export const CHECKING = "Checking the call. Until that is done, the customer cannot see you.";

export const SEEN = "The customer can see you";
export const UNSEEN = "The customer cannot see you";
export const ON_HOLD = "The call is on hold: the customer cannot see you.";
export const CAMERA_OFF = "Switch camera off";
export const CAMERA_ON = "Switch camera on";
export const YOU = "you";
export const CONTACT_CENTRE = "phone line to the contact centre";
export const VIDEO_OFF = "video off";
export const NOBODY = "Nobody";
