/** The start of the page: settings, sign-in, then the widget. */
import { readConfig, type Config } from "./config.ts";
import { failureOf, StartError } from "./failure.ts";
import * as genesys from "./genesys.ts";
import { TROUBLE } from "./texts.ts";
import { BLANK, View } from "./view.ts";
import { Widget } from "./widget.ts";

const page = location.origin + location.pathname;
const view = new View();
let retry = (): void => location.reload();
view.onRetry(() => retry());
window.addEventListener("pageshow", (event) => {
  if (event.persisted) {
    // Its leg in the room went when the page was left.
    location.reload();
  }
});

async function start(): Promise<void> {
  view.render(BLANK);
  const visit = genesys.parseVisit(location.search);
  if (visit.state && visit.conversationId) {
    // The code is good for once.
    history.replaceState(null, "", `?conversationid=${visit.conversationId}`);
  }
  if (!visit.conversationId) {
    throw new StartError(visit.isUnfilled ? "conversation-not-filled-in" : "no-conversation-id");
  }
  if (!window.isSecureContext) {
    throw new StartError("insecure-page");
  }
  const config = await readConfig(new URL("config.json", page));
  const signInAgain = (): void => {
    genesys.forgetToken();
    genesys.leaveToSignIn(config, visit.conversationId, page).catch(fail);
  };
  retry = signInAgain;
  const [client, me] = await signIn(config, visit);
  const widget = new Widget(config, client, me, visit.conversationId, view, signInAgain);
  retry = (): void => widget.retry();
  view.onCamera(() => widget.toggleCamera());
  window.addEventListener("pagehide", () => widget.abandon());
  widget.start();
}

async function signIn(config: Config, visit: genesys.Visit): Promise<[genesys.Genesys, genesys.Me]> {
  const comesBack = Boolean(visit.code || visit.error);
  const token = comesBack
    ? await genesys.finishSignIn(config, visit, page, Date.now())
    : genesys.keptToken(config, Date.now()) || (await genesys.leaveToSignIn(config, visit.conversationId, page));
  const client = new genesys.Genesys(config, token);
  try {
    return [client, await client.me()];
  } catch (error) {
    if (comesBack || !(error instanceof genesys.GenesysError) || error.fault !== "expired") {
      throw error;
    }
    genesys.forgetToken();
    return genesys.leaveToSignIn(config, visit.conversationId, page);
  }
}

function fail(error: unknown): void {
  const { trouble, detail } = failureOf(error);
  view.render({ ...BLANK, status: "failed", message: TROUBLE[trouble], detail, canRetry: true });
}

start().catch(fail);
