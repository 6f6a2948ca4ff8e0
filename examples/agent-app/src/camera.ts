/** The agent's camera. Off means off: the device is let go. */
import type { CameraTrouble } from "./texts.ts";

const WANTED: MediaStreamConstraints = {
  audio: false,
  video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } },
};

export class Camera {
  readonly #onChange: () => void;
  #stream: MediaStream | null = null;
  #isOpening = false;
  isWanted = true;
  trouble: CameraTrouble | null = null;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** The picture of the camera, for the agent's own eyes; `null` while it is off. */
  get stream(): MediaStream | null {
    return this.#stream;
  }

  get track(): MediaStreamTrack | null {
    return this.#stream?.getVideoTracks()[0] ?? null;
  }

  /** Switches it on if it is wanted and not on; what goes wrong is in `trouble`. */
  async open(): Promise<void> {
    if (!this.isWanted || this.#stream !== null || this.#isOpening || this.trouble !== null) {
      return;
    }
    this.#isOpening = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia(WANTED);
      if (this.isWanted) {
        this.#take(stream);
      } else {
        stop(stream);
      }
    } catch (error) {
      this.trouble = cameraTrouble(error);
    }
    this.#isOpening = false;
    this.#onChange();
  }

  close(): void {
    if (this.#stream !== null) {
      stop(this.#stream);
      this.#stream = null;
    }
  }

  #take(stream: MediaStream): void {
    this.#stream = stream;
    stream.getVideoTracks()[0]?.addEventListener("ended", () => {
      // Unplugged, or the permission was taken back.
      if (this.#stream === stream) {
        this.close();
        this.trouble = "missing";
        this.#onChange();
      }
    });
  }
}

/** What the name of an error of `getUserMedia` means. */
export function cameraTrouble(error: unknown): CameraTrouble {
  switch (error instanceof Error ? error.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return "refused";
    case "NotFoundError":
    case "OverconstrainedError":
      return "missing";
    default:
      return "busy";
  }
}

function stop(stream: MediaStream): void {
  for (const track of stream.getTracks()) {
    track.stop();
  }
}
