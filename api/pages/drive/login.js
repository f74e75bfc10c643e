// Sign-in of drivers.
import { useRef, useState } from "preact/hooks";
import { html } from "../client/html.js";
import { session, signIn, signOut } from "../client/session.js";
import { Failed } from "./notes.js";
import { Tools } from "./frame.js";
import { t } from "./words.js";

const Alone = ({ title, lead, children }) => html`<main class="alone" id="content" tabindex="-1"><div class="alone-tools"><${Tools} /></div>
  <div class="alone-middle"><div class="alone-head"><img src="/pages/design/icon.svg" alt="" width="56" height="56" /><h1>${title}</h1><p>${lead}</p></div>${children}</div></main>`;

export function Login() {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const form = useRef(null);

  const submit = async (event) => {
    event.preventDefault();
    const { email, password } = Object.fromEntries(new FormData(form.current));
    if (!email || !password) {
      setProblem({ code: "incomplete" });
      form.current.elements[email ? "password" : "email"].focus();
      return;
    }
    setProblem(null);
    setBusy(true);
    try {
      await signIn(email, password);
    } catch (found) {
      setProblem(found);
      setBusy(false);
      form.current?.elements.password.select();
    }
  };
  const own = { incomplete: "signin.incomplete", invalid_credentials: "signin.wrong" }[problem?.code];
  return html`<${Alone} title=${t("title")} lead=${t("signin.lead")}><form class="signin" ref=${form} onSubmit=${submit} noValidate aria-busy=${busy}>
    ${session.value.why === "ended" && !problem && html`<div class="note" role="status">${t("signin.ended")}</div>`}
    <label class="field"><span>${t("email")}</span><input class="input" name="email" type="email" autocomplete="username" autofocus aria-invalid=${Boolean(own)} /></label>
    <label class="field"><span>${t("password")}</span><input class="input" name="password" type="password" autocomplete="current-password" aria-invalid=${Boolean(own)} /></label>
    ${own && html`<div class="note bad" role="alert"><b>${t(own)}</b>${problem.traceId && html`<span class="trace">${t("trace", { id: problem.traceId })}</span>`}</div>`}
    ${problem && !own && html`<${Failed} problem=${problem} />`}
    <button class="button primary tall" disabled=${busy}>${busy ? t("signin.busy") : t("signin")}</button>
  </form><//>`;
}

export const NoRole = ({ user }) => html`<${Alone} title=${t("role.lacks")} lead=${t("role.lacks.why", { email: user.email, role: user.role })}>
  <button class="button tall" onClick=${signOut}>${t("signout")}</button><//>`;

export const Unreachable = ({ problem, onAgain }) => html`<${Alone} title=${t("title")} lead=${t("signin.lead")}><${Failed} problem=${problem} onAgain=${onAgain} /><//>`;
