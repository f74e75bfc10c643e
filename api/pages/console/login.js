// Sign-in.
import { useRef, useState } from "preact/hooks";
import { html } from "../client/html.js";
import { session, signIn, signOut } from "../client/session.js";
import { Failed } from "./states.js";
import { Tools } from "./tools.js";
import { t } from "./words.js";

const Alone = ({ children }) => html`<main class="alone" id="content" tabindex="-1"><div class="alone-top"><${Tools} /></div>${children}</main>`;

const Head = ({ title, lead }) => html`<div class="signin-head"><img src="/pages/design/icon.svg" alt="" width="40" height="40" /><h1>${title}</h1><p>${lead}</p></div>`;

export function Login() {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const [missing, setMissing] = useState(false);
  const form = useRef(null);

  const submit = async (event) => {
    event.preventDefault();
    const { email, password } = Object.fromEntries(new FormData(form.current));
    setProblem(null);
    setMissing(!email || !password);
    if (!email || !password) {
      form.current.elements[email ? "password" : "email"].focus();
      return;
    }
    setBusy(true);
    try {
      await signIn(email, password);
    } catch (found) {
      setProblem(found);
      setBusy(false);
      form.current?.elements.password.select();
    }
  };
  const wrong = problem?.code === "invalid_credentials" || missing;
  return html`<${Alone}><form class="signin" ref=${form} onSubmit=${submit} noValidate aria-busy=${busy}>
    <${Head} title=${t("title")} lead=${t("signin.lead")} />
    ${session.value.why === "ended" && !problem && html`<div class="note" role="status">${t("signin.ended")}</div>`}
    <label class="field"><span>${t("email")}</span><input class="input" name="email" type="email" autocomplete="username" autofocus aria-invalid=${wrong} /></label>
    <label class="field"><span>${t("password")}</span><input class="input" name="password" type="password" autocomplete="current-password" aria-invalid=${wrong} /></label>
    ${missing && html`<div class="note bad" role="alert">${t("signin.incomplete")}</div>`}
    ${problem?.code === "invalid_credentials" ? html`<div class="note bad" role="alert"><b>${t("signin.wrong")}</b><span class="trace">${t("trace", { id: problem.traceId })}</span></div>` : problem && html`<${Failed} problem=${problem} />`}
    <button class="button primary" disabled=${busy}>${busy ? t("signin.busy") : t("signin")}</button>
  </form><//>`;
}

export const NoRole = ({ user }) => html`<${Alone}><div class="signin">
  <${Head} title=${t("role.lacks")} lead=${t("role.lacks.why", { email: user.email, role: user.role })} />
  <button class="button" onClick=${signOut}>${t("signout")}</button>
</div><//>`;

export const Unreachable = ({ problem, onAgain }) => html`<${Alone}><div class="signin"><${Head} title=${t("title")} lead=${t("signin.lead")} /><${Failed} problem=${problem} onAgain=${onAgain} /></div><//>`;
