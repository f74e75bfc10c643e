"""Password resets that users ask for themselves: a mail with a link that works once.

Asking costs the same and answers the same for every address: it adds a job, and the job finds out whether there is an
account.
"""

from __future__ import annotations

from hashlib import sha256

from actors.clock import Randomness
from actors.tracing import trace_id
from dispatch.accounts import RESET_S, ResetToken, issue_reset_token
from dispatch.errors import AccountClosed, NoSuchUser
from dispatch.jobs.tasks import Job, NewJob, Permanent
from dispatch.notices.delivery import HOUSE
from dispatch.notices.kinds import KINDS, MAIL
from dispatch.notices.ports import Letters, Mail, SendRefused
from dispatch.notices.recipients import Recipient, user_from
from dispatch.ports import QueryPool
from storage.email_addresses import normal_form

TASK = "send_password_reset"
TYPE = KINDS["password_reset"].type


class ResetRequests:
    """Requests of users who have forgotten their password."""

    def __init__(self, database: QueryPool) -> None:
        self._database = database

    async def add(self, email: str, trace: str) -> None:
        """Add the job that mails a link to the account of this address, if there is one."""
        form = normal_form(email)
        key = f"reset/{sha256(form.encode()).hexdigest()[:32]}"
        await self._database.rows("enqueue_jobs", [NewJob(TASK, {"email": form}, key).item(trace)])


class ResetMails:
    """Sends the links."""

    def __init__(
        self,
        database: QueryPool,
        entropy: Randomness,
        letters: Letters,
        mail: Mail | None,
        public_url: str | None,
    ) -> None:
        self._database = database
        self._entropy = entropy
        self._letters = letters
        self._mail = mail
        self._public_url = public_url

    async def send(self, email_form: str, job: Job) -> None:
        """Mail a link to the account of an address, if it has an open one and got none in the last five minutes.

        Each try makes a link of its own and voids the one before, because the database keeps no link, only its hash.

        Raises:
            Permanent: the mail can never be sent.
            SendUnavailable, SendUnsure: try again.
        """
        account = await self._database.row("user_by_email", email_form)
        if account is None or self._mail is None:
            return
        number = account["id"]
        if job.attempts == 1 and await self._database.value("reset_is_fresh", number, float(RESET_S)):
            return
        try:
            token = await issue_reset_token(self._database, self._entropy, number)
        except (NoSuchUser, AccountClosed):
            return
        recipient = user_from(await self._database.row("notice_users", [number]))
        await self._mail_it(self._mail, recipient, token, job)

    async def _mail_it(self, mail: Mail, recipient: Recipient, token: ResetToken, job: Job) -> None:
        url = None if self._public_url is None else f"{self._public_url}/password-reset#{token.text}"
        values = {"mall": HOUSE, "reset_url": url, "token": token.text, "minutes": RESET_S // 60}
        letter = self._letters.render(TYPE, MAIL, recipient, values)
        assert recipient.email is not None
        headers = {"X-Trace-Id": trace_id(job.trace)} if job.trace else {}
        key = f"reset-{job.id}-{job.attempts}"
        try:
            await mail.send(key, recipient.email, letter.subject, letter.text, letter.html, headers)
        except SendRefused as error:
            raise Permanent(f"refused: {error}") from error
