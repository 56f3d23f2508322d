"""The words of answering machines: "Автоответ", "Out of office", "Я в отпуске до 12 марта".

Decides whether subject and text are those of a machine that answers for a person who is away. A subject that only
speaks of a holiday is a person's ("График отпусков"); one that could be either counts with a sentence of the text.
Pure, linear. Invariant: in doubt a person wrote, since a lead that is lost costs more than one too many.

Source: Exchange, Gmail, Yandex, Mail.ru, Roundcube, Bitrix24 and vacation programs in a dozen languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_RE = r"(?:(?:re|на|отв|ha|aw|sv|ответ)\s*:\s*){0,3}"
_BEGINS = re.compile(
    rf"\s*{_RE}(\[?\(?(auto|авто)\)?\]?\s*:|"
    r"auto(matic|mated|matische[sr]?|matyczna|matická|maattinen|matisk[at]?)?[-\s]?"
    r"(reply|response|respuesta|antwort|nachricht|answer|odpowied[zź]|odpověď|vastaus|svar|antwoord|respond(er)?)\b|"
    r"autosvar|autoodpowied|autoresponder|abwesenheits(notiz|nachricht)|abwesend\b|"
    r"ich bin (derzeit |zur zeit )?abwesend|"
    r"out of (the )?office\s*(:|$|[-–—]|\(|(auto)?[- ]?(reply|notif|message)|re:|until|from)|ooo\s*[:\-–]|"
    r"(i am|i'm) (currently )?(out of (the )?office|on (vacation|leave|holiday)|away)|"
    r"vacation (reply|response|message)|away from (the )?office|"
    r"автоответ|авто-ответ|автоматическ(ий|ое) (ответ|уведомление)|автовідповідь|автоматична відповідь|"
    r"réponse automatique|absence du bureau|respuesta automática|risposta automatica|resposta automática|"
    r"fuera de (la )?oficina|fuori sede|otomatik yanıt|自动回复|自動応答)",
    re.IGNORECASE,
)
_HOLDS = re.compile(
    r"[(\[]\s*(авто-?ответ(чик)?|auto-?(reply|response|responder)|автоматический ответ)\s*[)\]]", re.IGNORECASE
)
_ABSENT = re.compile(
    rf"\s*{_RE}(?P<who>я\s+)?(?:сейчас\s+|временно\s+)?(?:нахожусь\s+|буду\s+)?"
    r"(?:в\s+(?:ежегодном\s+|очередном\s+|декретном\s+)?(?:отпуске|отгуле|командировке)|на больничном|"
    r"отсутствую(?:\s+(?:в\s+офисе|на\s+(?:рабочем\s+)?месте|на\s+работе))?|отсутствовать|"
    r"(?:меня\s+)?(?:нет|не\s+будет)\s+(?:в\s+офисе|на\s+(?:рабочем\s+)?месте|на\s+работе)|(?:вне|поза)\s+офис[ау]|не\s+в\s+офисе|"
    r"у\s+відпустці|у\s+відрядженні)(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_UNTIL = re.compile(
    r"[\s.,:;!–—-]*(?:(?:с|со|до|по|на|from|until|till|з)\b.{0,60}|\(.{0,60}\)|\d.{0,40}|[:–—-].*)?[\s.!]*",
    re.IGNORECASE | re.DOTALL,
)
_ABOUT_IT = re.compile(
    r"отпуск|отсутств|командировк|out of office|vacation|на больничном|відпуст|urlaub|abwesen", re.IGNORECASE
)
_SAYS_SO = re.compile(
    r"(нахожусь|буду|сейчас|я) (находиться )?(в|на) (ежегодном |очередном )?(отпуске|командировке|больничном)|"
    r"(буду|я) отсутств|отсутствую (в офисе|на (рабочем )?месте)|меня (не будет|нет) (в офисе|на (рабочем )?месте)|"
    r"(отвечу|свяжусь с вами).{0,80}(возвращени|после|вернусь|выхода)|по (всем )?(срочным|неотложным) вопросам|"
    r"(это|данное) (письмо|сообщение).{0,40}автоматическ|сформирован[оа]? автоматически|"
    r"не буду иметь (доступа|возможности)|ограничен.{0,20}доступ к (почте|электронной)|"
    r"(i am|i'm|i will be) (currently )?(out of|on (vacation|leave|holiday|annual))|limited access to (my )?e-?mail|"
    r"this is an auto(matic|mated)|ich bin (vom|bis|derzeit|ab).{0,60}(abwesend|nicht|urlaub|büro)",
    re.IGNORECASE,
)
_PERSON_ASKS = re.compile(r"\?\s*$")


def is_away(subject: str, beginning: Callable[[], str]) -> bool:
    """Tell an answering machine by the subject, where that is not enough together with the text's `beginning`."""
    if _BEGINS.match(subject) or _HOLDS.search(subject):
        return True
    if not _ABOUT_IT.search(subject) and _ABSENT.match(subject) is None:
        return False
    absent = _ABSENT.match(subject)
    if absent is not None and _UNTIL.fullmatch(absent["rest"]) and not _PERSON_ASKS.search(subject):
        return True
    # It is about a holiday, or begins as if: only a machine goes on to say so in the first sentences.
    return absent is not None and _SAYS_SO.search(beginning()) is not None
