import { CommandPalette } from "./command_palette";
import { CopyValue } from "./copy_value";
import { listenForKeys } from "./keys";
import { LiveChanges } from "./live_changes";
import { LinkSecret } from "./link_secret";
import { LocalTime } from "./local_time";
import { PasskeyForm } from "./passkey_form";
import { RelationGraph } from "./relation_graph";
import { SelectAll } from "./select_all";

customElements.define("live-changes", LiveChanges);
customElements.define("link-secret", LinkSecret);
customElements.define("local-time", LocalTime);
customElements.define("copy-value", CopyValue);
customElements.define("passkey-form", PasskeyForm);
customElements.define("relation-graph", RelationGraph);
customElements.define("select-all", SelectAll);
customElements.define("command-palette", CommandPalette);
listenForKeys();
