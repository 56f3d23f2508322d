"""Heads as strangers' programs write them: who wrote, when, in which letters."""

from __future__ import annotations

from tests.corpus.making.letter import FROM, Cases, bare, word

cases = Cases("head")

SENDERS = {
    "from-with-a-comma": ("Petrov, Ivan <ivan@client.example>", ["Petrov, Ivan", "ivan@client.example"]),
    "from-in-two-brackets": ("Ivan <<ivan@client.example>>", ["Ivan", "ivan@client.example"]),
    "from-with-mailto": ("Ivan <mailto:ivan@client.example>", ["Ivan", "ivan@client.example"]),
    "from-with-mailto-in-square-brackets": ("Ivan [mailto:ivan@client.example]", ["Ivan", "ivan@client.example"]),
    "from-encoded-as-a-whole": (word("Иван <ivan@whole.example>"), ["Иван", "ivan@whole.example"]),
    "from-encoded-address-beside-a-plain-one": (
        f"{word('boss@bank.example')} <ivan@client.example>",
        ["boss@bank.example", "ivan@client.example"],
    ),
    "from-with-a-stray-bracket": ('"Anna Krueger" anna@client.example>', ["Anna Krueger", "anna@client.example"]),
    "from-in-a-comment": ("=?iso-8859-2?Q?Namedy=F1ski?= (jan@client.example)", ["Namedyński", "jan@client.example"]),
    "from-with-a-comment-within": ("Ivan <ivan@client.example (office)>", ["Ivan", "ivan@client.example"]),
    "from-behind-an-empty-group": ("nobody:;, Ivan <ivan@client.example>", ["Ivan", "ivan@client.example"]),
    "from-in-quotes": ("'ivan@client.example'", ["", "ivan@client.example"]),
}
for name, (value, expected) in SENDERS.items():
    cases.add(name, bare(f"From: {value}", "Subject: x", "Message-ID: <1@client.example>", body="x"), from_=expected)

cases.add(
    "from-twice-the-first-without-an-address",
    bare("From: Ivan", "From: Ivan Petrov <ivan@client.example>", body="x"),
    from_=["Ivan Petrov", "ivan@client.example"],
    defects_has=["several_from"],
)
cases.add(
    "from-without-an-address-but-with-a-reply-to",
    bare("From: Ivan", "Reply-To: ivan@client.example", body="x"),
    from_=["Ivan", "ivan@client.example"],
)
cases.add(
    "from-missing-but-a-sender",
    bare("Sender: Ivan <ivan@client.example>", "Subject: x", body="x"),
    from_=["Ivan", "ivan@client.example"],
    defects_has=["no_from"],
)
cases.add(
    "to-with-all-that",
    bare(FROM, "To: Petrov, Ivan <a@x.example>, <mailto:b@x.example>, Jan (c@x.example), empty:;, d@x.example>"),
    to=["a@x.example", "b@x.example", "c@x.example", "d@x.example"],
)

DATES = {
    "offset-with-a-colon": ("Thu, 05 Mar 2026 10:00:00 +03:00", "2026-03-05T07:00:00+00:00"),
    "offset-glued-to-the-next-field": (
        "Fri, 07 Apr 2023 17:30:44 +0200Received: from x.example (x.example [192.0.2.1])",
        "2023-04-07T15:30:44+00:00",
    ),
    "offset-of-two-digits": ("Thu, 5 Mar 2026 10:00:00 +03", "2026-03-05T07:00:00+00:00"),
    "msk": ("Thu, 5 Mar 2026 10:00:00 MSK", "2026-03-05T07:00:00+00:00"),
    "gmt-and-hours": ("Thu, 5 Mar 2026 10:00:00 GMT+3", "2026-03-05T07:00:00+00:00"),
    "gmt-and-an-offset": ("Thu Mar 05 2026 10:00:00 GMT+0300 (MSK)", "2026-03-05T07:00:00+00:00"),
    "iso": ("2026-03-05T10:00:00+03:00", "2026-03-05T07:00:00+00:00"),
    "iso-with-a-blank-and-fractions": ("2026-03-05 10:00:00.25 +0300", "2026-03-05T07:00:00+00:00"),
    "with-dots": ("05.03.2026 10:00", "2026-03-05T10:00:00+00:00"),
    "russian-words": ("четверг, 5 марта 2026 г. 10:00:00 МСК", "2026-03-05T07:00:00+00:00"),
    "russian-abbreviations": ("Чт, 5 мар 2026 10:00:00 +0300", "2026-03-05T07:00:00+00:00"),
    "german": ("Do, 5 Mär 2026 10:00:00 +0100", "2026-03-05T09:00:00+00:00"),
    "american": ("3/25/2026 10:00 PM", "2026-03-25T22:00:00+00:00"),
    "of-asctime": ("Thu Mar  5 10:00:00 2026", "2026-03-05T10:00:00+00:00"),
    "with-dots-in-the-time": ("Thu, 5 Mar 2026 10.00.00 +0300", "2026-03-05T07:00:00+00:00"),
    "leap-second": ("Thu, 5 Mar 2026 10:00:60 +0000", "2026-03-05T10:00:59+00:00"),
    "words-only": ("позавчера вечером", None),
}
for name, (when, at) in DATES.items():
    cases.add(f"date-{name}", bare(FROM, f"Date: {when}", body="x"), date=at)
