"""`hub demo`: a working day on sample data, with a scripted PBX and a scripted mail server on real sockets.

Everything Hub does here it does as in earnest: AMI, IMAP and SMTP over loopback, one SQLite file. Only the callers
and writers are played. Invariant: nothing leaves the machine, and each start begins with the same company.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from hub import app
from hub.clock import utc_now
from hub.crm import people
from hub.demo import colleagues
from hub.demo.letters import answer_to, raw_letter
from hub.demo.mail import DemoMail, Submitted, running_mail
from hub.demo.pbx import Phone, ScriptedCall, ScriptedPbx
from hub.demo.pbx_recorder import Recorder
from hub.demo.recorded import seed_recordings
from hub.demo.sample import CLIENTS, LETTERS, MAILBOX, PASSWORD, PBX, PEOPLE, STRANGERS, SUPPORT_MAILBOX, Letter, seed
from hub.errors import ConfigError
from hub.opening import ROLES, opened
from hub.process import make_private_folder
from hub.settings import HubSection, Settings, WebSection
from hub.store.engine import Database
from hub.store.single_process import sole_process
from hub.telephony.intake.intake import CallIntake

CALL_EVERY_S = (12.0, 30.0)
LETTER_EVERY_S = (25.0, 70.0)
PATIENCE_S = (60.0, 240.0)
MAX_WAITING = 4
"""So that a demo left alone overnight does not fill its queue without end."""


async def run_demo(*, host: str, port: int, data_dir: Path | None, ready: asyncio.Event | None = None) -> None:
    """Play until stopped. `data_dir` is emptied first; it must be empty or a demo's own."""
    folder = (data_dir or Path("var/demo")).absolute()
    _refuse_other_data(folder)
    with sole_process(folder / "hub.db", named="--data-dir" if data_dir else "hub demo"):
        _begin_anew(folder)
        await _run(folder, host=host, port=port, ready=ready)


async def _run(folder: Path, *, host: str, port: int, ready: asyncio.Event | None) -> None:
    recorder = Recorder(folder / "recordings", frozenset({"hub-sales"}))
    async with ScriptedPbx(recorder=recorder) as pbx, running_mail([MAILBOX, SUPPORT_MAILBOX]) as mail:
        _give_phones(pbx)
        settings = _settings(host, port, folder, pbx, mail)
        async with opened(settings, is_demo=True) as parts:
            now = utc_now()
            async with parts.db.begin() as conn:
                teams = {f"hub-{name}": await people.ensure_team(conn, name, now=now) for name in ("sales", "support")}
            intake = CallIntake(parts.db, parts.linker, teams)
            await seed(parts.db, intake, now=now)
            await seed_recordings(parts.db, intake, recorder, now=now)
            await _fill_mailboxes(mail, now)
            started = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                day = tasks.create_task(_play(parts.db, pbx, mail, started, host, port, ready))
                await app.run_roles(parts, roles=frozenset(ROLES), ready=started)
                day.cancel()


def _refuse_other_data(folder: Path) -> None:
    marker = folder / ".hub-demo"
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise ConfigError("demo_folder", f"--data-dir: {folder} holds something that is not a demo")
    make_private_folder(folder)
    marker.touch()


def _begin_anew(folder: Path) -> None:
    """Empty the folder but for the marker and the lock, which this process holds."""
    for one in folder.iterdir():
        if one.name in (".hub-demo", "hub.db.lock"):
            continue
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one, ignore_errors=True)
        else:
            one.unlink()


def _give_phones(pbx: ScriptedPbx) -> None:
    for person in PEOPLE:
        if person.extension:
            pbx.phones[person.extension] = Phone(answers_after_s=1.2)
    pbx.outside = Phone(answers_after_s=4.0, hangs_up_after_s=180.0)


def _settings(host: str, port: int, folder: Path, pbx: ScriptedPbx, mail: DemoMail) -> Settings:
    boxes = (
        mail.mailbox(MAILBOX, team="sales", name="Отдел продаж"),
        mail.mailbox(SUPPORT_MAILBOX, team="support", name="Поддержка"),
    )
    return Settings(
        hub=HubSection(database=f"sqlite:///{folder}/hub.db", data_dir=str(folder)),
        web=WebSection(host=host, port=port),
        pbx=(pbx.settings(PBX),),
        mailbox=boxes,
    )


async def _fill_mailboxes(mail: DemoMail, now: datetime) -> None:
    """What was in the mailboxes before Hub first looked: history for the cards, nothing for the queue."""
    dice = random.Random(11)  # noqa: S311
    for n in range(24):
        letter = dice.choice([one for one in LETTERS if _is_known(one)])
        at = now - timedelta(hours=dice.randint(2, 13 * 24), minutes=dice.randint(0, 59))
        raw = raw_letter(letter, to=MAILBOX, at=at, number=UUID(int=dice.getrandbits(128)), again=n)
        await mail.deliver(raw, to=MAILBOX, at=at, seen=True)


def _is_known(letter: Letter) -> bool:
    domain = letter.address.partition("@")[2]
    return any(domain in (client.email.partition("@")[2]) for client in CLIENTS)


async def _play(
    db: Database,
    pbx: ScriptedPbx,
    mail: DemoMail,
    started: asyncio.Event,
    host: str,
    port: int,
    ready: asyncio.Event | None,
) -> None:
    await started.wait()
    _greet(host, port)
    if ready is not None:
        ready.set()
    answers: asyncio.Queue[Submitted] = asyncio.Queue(maxsize=100)

    async def note(submitted: Submitted) -> None:
        if not answers.full():
            answers.put_nowait(submitted)

    mail.on_submitted = note
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_callers(pbx))
        tasks.create_task(colleagues.play(db, [person.email for person in PEOPLE if person.is_played]))
        tasks.create_task(_writers(mail))
        tasks.create_task(_answerers(mail, answers))


def _greet(host: str, port: int) -> None:
    lines = ["", f"  Hub demo: http://{host}:{port}", "", "  Sign in as", *_logins(), "", "  Ctrl+C ends it.", ""]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _logins() -> Iterator[str]:
    for person in (one for one in PEOPLE if not one.is_played):
        what = "administrator" if person.role == "admin" else f"manager, {' and '.join(person.teams)}"
        yield f"    {person.email:<20} {PASSWORD}    {person.name}, {what}"


async def _callers(pbx: ScriptedPbx) -> None:
    """People who call: mostly clients, now and then a stranger; some lose patience."""
    dice = random.Random()  # noqa: S311
    known = [(c.phone, "") for c in CLIENTS] + [(p.phone, "") for c in CLIENTS for p in c.contacts]
    pause_s = 2.0
    # The first caller is a stranger to sales: who opens a demo sees at once how a lead is made.
    number, name, queue = *STRANGERS[0], "hub-sales"
    while True:
        await asyncio.sleep(pause_s)
        pause_s = dice.uniform(*CALL_EVERY_S)
        if sum(call.claim is not None for call in pbx.calls) >= MAX_WAITING:
            continue
        digits = "".join(c for c in number if c.isdigit() or c == "+")
        call = pbx.call_in(digits, name=name, queue=queue)
        number, name = dice.choice(STRANGERS if dice.random() < 0.3 else known)
        queue = dice.choice(["hub-sales", "hub-sales", "hub-support"])
        asyncio.get_running_loop().call_later(dice.uniform(*PATIENCE_S), _lose_patience, call)
        for phone in pbx.phones.values():
            phone.hangs_up_after_s = dice.uniform(60, 180)
        pbx.calls[:] = [one for one in pbx.calls if not one.over.is_set()]


def _lose_patience(call: ScriptedCall) -> None:
    """Hang up if nobody has come yet."""
    if not call.talking.is_set():
        call.hang_up()


async def _writers(mail: DemoMail) -> None:
    """People who write to the team's mailboxes."""
    dice = random.Random()  # noqa: S311
    turn = 0
    pause_s = 4.0
    while True:
        await asyncio.sleep(pause_s)
        pause_s = dice.uniform(*LETTER_EVERY_S)
        letter = LETTERS[turn % len(LETTERS)]
        turn += 1
        to = MAILBOX if turn % 3 else SUPPORT_MAILBOX
        number = UUID(int=dice.getrandbits(128), version=4)
        await mail.deliver(raw_letter(letter, to=to, at=utc_now(), number=number, again=turn // len(LETTERS)), to=to)


async def _answerers(mail: DemoMail, sent: asyncio.Queue[Submitted]) -> None:
    """Whoever was written to answers after a while, in the same thread."""
    dice = random.Random()  # noqa: S311
    while True:
        submitted = await sent.get()
        await asyncio.sleep(dice.uniform(8, 20))
        raw = answer_to(submitted.raw, at=utc_now(), number=UUID(int=dice.getrandbits(128), version=4))
        await mail.deliver(raw, to=submitted.sender)
