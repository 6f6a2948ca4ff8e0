/** What the page says about a situation. No I/O. */
import type { Reason } from "./decide.ts";
import { type Conference, hasRoom } from "./lookup.ts";
import * as texts from "./texts.ts";

export interface Situation {
  /** Why there is nothing to join, `null` if there is something. */
  readonly reason: Reason | null;
  readonly trouble: texts.Trouble | null;
  readonly camera: texts.CameraTrouble | null;
  readonly room: "out" | "joining" | "joined";
  readonly isHeld: boolean;
  /** Left the room, and may come back. */
  readonly hasCustomerLeft: boolean;
  /** Whether the state of the call is known. */
  readonly isKnown: boolean;
  readonly conference: Conference | null;
}

/** The state of the page, and the sentence that goes with it. */
export function describe(situation: Situation): [texts.Status, string] {
  const { reason, trouble, camera, room, isHeld, conference } = situation;
  const sentence = trouble === null ? "" : texts.TROUBLE[trouble];
  if (room === "joining") {
    return ["joining", sentence || (camera === null ? "" : texts.CAMERA[camera])];
  }
  if (room === "joined") {
    const left = situation.hasCustomerLeft ? texts.CUSTOMER_LEFT : "";
    const checking = isHeld || situation.isKnown ? "" : texts.CHECKING;
    return [isHeld ? "held" : "joined", sentence || left || (camera === null ? checking : texts.CAMERA[camera])];
  }
  if (trouble !== null) {
    return [trouble === "conference-over" ? "ended" : "failed", sentence];
  }
  switch (reason) {
    case "absent":
      return ["failed", texts.TROUBLE["not-on-call"]];
    case "nameless":
      return ["failed", texts.TROUBLE["no-name"]];
    case "ringing":
      return ["waiting", texts.RINGING];
    case "consulted":
      return ["waiting", texts.CONSULTED];
    case "left":
      return ["ended", texts.LEFT];
    case "over":
      return ["ended", texts.OVER];
    case "unknown":
      return ["looking-up", ""];
    case null:
      return describeRoom(conference);
  }
}

function describeRoom(conference: Conference | null): [texts.Status, string] {
  if (conference === null) {
    return ["looking-up", ""];
  }
  if (conference.state === "ended") {
    return ["ended", texts.TROUBLE["conference-over"]];
  }
  return hasRoom(conference) ? ["joining", ""] : ["waiting", texts.NO_ROOM_YET];
}
