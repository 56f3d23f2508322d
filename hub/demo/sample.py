"""The sample company of `hub demo`: its people, its clients and two weeks of history.

History goes in through the same doors as real life: clients by `crm.clients`, past calls as effects by the call
intake, past mails (`letters`) through the scripted mailbox. Invariant: the same seed gives the same company.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.crm import clients, people, typical_data
from hub.crm.base.history import Edit
from hub.crm.clients import ClientKind
from hub.crm.clients.rules import update_record
from hub.crm.clients.table import CLIENTS as entity
from hub.demo import fields, rules
from hub.demo.requisites import of_company
from hub.store.engine import Database
from hub.telephony.intake.intake import CallIntake
from hub.telephony.tracking.calls import Call, CallEnded, Channel, Effect, Leg, LegResult, Outcome

PASSWORD = "demo-demo"  # noqa: S105 - printed at start, on sample data only
PBX = "office"
MAILBOX = "sales@hub.example"
SUPPORT_MAILBOX = "support@hub.example"
OWN_NUMBER = "+74950000100"


@dataclass(frozen=True, slots=True)
class Person:
    email: str
    name: str
    role: people.Role
    teams: tuple[str, ...]
    extension: str | None
    is_played: bool = False
    """Acts by itself (`demo.colleagues`): nobody is told to sign in as them."""


PEOPLE = (
    Person("admin@hub.example", "Ольга Соколова", "admin", (), "106"),
    Person("anna@hub.example", "Анна Иванова", "manager", ("sales",), "101"),
    Person("boris@hub.example", "Борис Кузнецов", "manager", ("sales", "support"), "102"),
    Person("vera@hub.example", "Вера Павлова", "manager", ("support",), "103"),
    Person("gleb@hub.example", "Глеб Орлов", "manager", ("sales",), "104", is_played=True),
    Person("dina@hub.example", "Дина Ким", "manager", ("sales", "support"), "105", is_played=True),
)


@dataclass(frozen=True, slots=True)
class SampleContact:
    name: str
    position: str
    phone: str
    email: str


@dataclass(frozen=True, slots=True)
class SampleClient:
    kind: ClientKind
    name: str
    phone: str
    email: str
    contacts: tuple[SampleContact, ...] = ()


def _company(name: str, phone: str, domain: str, *contacts: tuple[str, str, str, str]) -> SampleClient:
    persons = tuple(SampleContact(who, what, tel, f"{box}@{domain}") for who, what, tel, box in contacts)
    return SampleClient("organisation", name, phone, f"info@{domain}", persons)


CLIENTS = (
    _company(
        "ООО «Северный лес»",
        "8 (495) 120-11-01",
        "severles.example",
        ("Игорь Лаптев", "директор", "8-916-200-11-01", "laptev"),
        ("Мария Зуева", "закупки", "+7 916 200 11 02", "zueva"),
    ),
    _company(
        "АО «Технополис»",
        "+7 495 120-11-02",
        "technopolis.example",
        ("Сергей Орлов", "главный инженер", "8 916 200-11-03", "orlov"),
    ),
    _company(
        "ООО «Вкусный дом»",
        "+7 (812) 220-11-03",
        "vkusdom.example",
        ("Елена Крылова", "управляющая", "8 921 300 11 04", "krylova"),
        ("Артём Беляев", "бухгалтер", "8 921 300 11 05", "belyaev"),
    ),
    _company(
        "Мебельная фабрика «Уют»",
        "8 (343) 330-11-04",
        "uyut.example",
        ("Наталья Громова", "отдел продаж", "+7 922 400-11-06", "gromova"),
    ),
    _company(
        "ООО «ТрансЛайн»",
        "+7 383 340 11 05",
        "transline.example",
        ("Павел Ершов", "логист", "8-913-500-11-07", "ershov"),
    ),
    _company(
        "Клиника «Здоровье+»",
        "8 (843) 250-11-06",
        "zdorovie.example",
        ("Алина Хасанова", "администратор", "8 917 600 11 08", "hasanova"),
    ),
    _company(
        "ООО «СтройРесурс»",
        "8 495 120 11 07",
        "stroyresurs.example",
        ("Виктор Мельник", "прораб", "8 (916) 200-11-09", "melnik"),
    ),
    _company(
        "Школа языков «Глобус»",
        "+7 495 120-11-08",
        "globus.example",
        ("Дарья Фомина", "директор", "8 916 200-11-10", "fomina"),
    ),
    SampleClient("person", "Кирилл Воронов", "8 903 700-11-11", "voronov@post.example"),
    SampleClient("person", "Татьяна Белова", "+7 903 700 11 12", "belova@post.example"),
    SampleClient("person", "Михаил Жуков", "8-903-700-11-13", "zhukov@post.example"),
    SampleClient("person", "София Ким", "8 (903) 700-11-14", "kim@post.example"),
)

STRANGERS = (
    ("8 926 811-22-31", "ALEXEY"),
    ("8 926 811-22-32", ""),
    ("+7 985 811 22 33", "OOO VESNA"),
    ("8-985-811-22-34", ""),
    ("8 911 811 22 35", "MARINA"),
    ("+7 911 811-22-36", ""),
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that comes in: from whom, on what, saying what, and with which file."""

    sender: str
    address: str
    subject: str
    text: str
    file: str = ""


LETTERS = (
    Letter(
        "Мария Зуева",
        "zueva@severles.example",
        "Счёт на ноябрь",
        "Добрый день!\n\nПришлите, пожалуйста, счёт на ноябрь по договору 118. "
        "И уточните, входит ли доставка.\n\nС уважением,\nМария Зуева",
    ),
    Letter(
        "Сергей Орлов",
        "orlov@technopolis.example",
        "Схема подключения",
        "Коллеги, во вложении наша схема. Посмотрите, сколько каналов нам понадобится на два здания.\n\nОрлов",
        "схема подключения.pdf",
    ),
    Letter(
        "Елена Крылова",
        "krylova@vkusdom.example",
        "Перенос встречи",
        "Здравствуйте! Можно ли перенести встречу со среды на пятницу, на 11:00?\n\nЕлена",
    ),
    Letter(
        "Кирилл Воронов",
        "voronov@post.example",
        "Вопрос по гарантии",
        "Здравствуйте, купил у вас прибор в августе, перестал включаться. Чек сохранился. Что делать дальше?",
    ),
    Letter(
        "Ирина Лебедева",
        "lebedeva@novaya-volna.example",
        "Коммерческое предложение",
        "Добрый день! Нас пятнадцать человек, ищем телефонию и общую почту для отдела продаж. "
        "Пришлите предложение и сроки.\n\nИрина Лебедева\n«Новая волна»",
    ),
    Letter(
        "Павел Ершов",
        "ershov@transline.example",
        "Акт сверки",
        "Высылаю акт сверки за третий квартал. Проверьте и верните с подписью.",
        "акт сверки.pdf",
    ),
    Letter(
        "James Carter",
        "carter@northwind.example",
        "Partnership",
        "Hello,\n\nwe resell business phones in the Nordics and would like to talk about a partnership. "
        "Who is the right person?\n\nBest regards,\nJames Carter",
    ),
    Letter(
        "Дарья Фомина",
        "fomina@globus.example",
        "Спасибо за звонок",
        "Спасибо, всё заработало! Если можно, пришлите инструкцию для второго кабинета.",
    ),
)


_OUTCOMES: tuple[Outcome, ...] = ("answered", "busy", "rejected")


async def seed(db: Database, intake: CallIntake, *, now: datetime) -> None:
    """Fill an empty database: people, clients, and calls of the last two weeks."""
    hashed = await people.hash_password(PASSWORD)
    async with db.begin() as conn:
        await typical_data.deliver(conn, language="ru", now=now)
        for one in PEOPLE:
            await people.add_user(
                conn,
                email=one.email,
                name=one.name,
                role=one.role,
                password_hash=hashed,
                team_names=one.teams,
                extension=one.extension,
                now=now,
            )
        for company in CLIENTS:
            client_id = await clients.create(conn, None, kind=company.kind, name=company.name, now=now)
            await clients.add_address(conn, None, client_id, kind="phone", raw=company.phone, now=now)
            await clients.add_address(conn, None, client_id, kind="email", raw=company.email, now=now)
            if company.kind == "organisation":
                requisites = entity.read(of_company(client_id, company.phone), is_new=False)
                await update_record(conn, client_id, requisites, edit=Edit(None, "hub", now))
                domain = company.email.partition("@")[2]
                await clients.add_address(conn, None, client_id, kind="domain", raw=domain, now=now)
            for person in company.contacts:
                contact_id = await clients.add_contact(
                    conn, None, client_id, name=person.name, position=person.position, now=now
                )
                for kind, raw in (("phone", person.phone), ("email", person.email)):
                    await clients.add_address(
                        conn,
                        None,
                        client_id,
                        kind="phone" if kind == "phone" else "email",
                        raw=raw,
                        contact_id=contact_id,
                        now=now,
                    )
        await fields.add(conn, now=now)
        await rules.add(conn, now=now)
    await intake.store(list(past_calls(now)), now=now)


def past_calls(now: datetime) -> Iterator[Effect]:
    """Yield some seventy finished calls of the last two weeks, oldest first."""
    dice = random.Random(2026)  # noqa: S311
    numbers = [c.phone for c in CLIENTS] + [p.phone for c in CLIENTS for p in c.contacts]
    moments = sorted(now - timedelta(minutes=dice.randint(40, 14 * 24 * 60)) for _ in range(70))
    for n, started in enumerate(moments):
        number = dice.choice(numbers)
        outcome = dice.choices(_OUTCOMES, [12, 1, 1])[0]
        yield CallEnded(_past_call(n, number, started, outcome, outbound=dice.random() < 0.35, dice=dice))


def _past_call(
    n: int, number: str, started: datetime, outcome: Outcome, *, outbound: bool, dice: random.Random
) -> Call:
    extension = dice.choice(["101", "102", "103"])
    wait_s, talk_s = float(dice.randint(3, 55)), float(dice.randint(20, 900))
    answered = started + timedelta(seconds=wait_s) if outcome == "answered" else None
    ended = answered + timedelta(seconds=talk_s) if answered else started + timedelta(seconds=wait_s)
    results: dict[Outcome, LegResult] = {"answered": "answered", "busy": "busy", "rejected": "rejected"}
    result = results[outcome]
    manager = Leg(
        Channel(f"PJSIP/{extension}-{n:08x}"),
        f"seed.{n}.2",
        extension,
        None,
        "caller" if outbound else "callee",
        started,
        answered,
        ended,
        "answered" if outbound else result,
    )
    other = Leg(
        Channel(f"PJSIP/trunk-{n:08x}"),
        f"seed.{n}.1",
        None,
        number,
        "callee" if outbound else "caller",
        started,
        answered,
        ended,
        result if outbound else None,
    )
    return Call(
        pbx=PBX,
        boot="seed",
        linked_id=f"seed.{n}",
        direction="outbound" if outbound else "inbound",
        state="ended",
        started_at=started,
        outcome=outcome,
        from_raw=extension if outbound else number,
        from_extension=extension if outbound else None,
        to_raw=number if outbound else OWN_NUMBER,
        did=None if outbound else OWN_NUMBER,
        answered_at=answered,
        ended_at=ended,
        wait_s=wait_s,
        talk_s=talk_s if answered else 0.0,
        answered_extension=extension if answered else None,
        queue=None if outbound else dice.choice(["hub-sales", "hub-support"]),
        legs=(manager, other) if outbound else (other, manager),
    )
