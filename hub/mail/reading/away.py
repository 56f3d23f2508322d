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
    rf"\s*{_RE}([\[(](auto|авто)[\])]\s*:?|(auto|авто)\s*:\s*(re|aw|sv|отв|ответ)\s*:|"
    r"auto(matic|mated|matische[sr]?|matyczna|matická|maattinen|matisk[at]?)?[-\s]?"
    r"(reply|response|respuesta|antwort|nachricht|answer|odpowied[zź]|odpověď|vastaus|svar|antwoord|respond(er)?)\b|"
    r"autosvar|autoodpowied|autoresponder|abwesenheits(notiz|nachricht)|abwesend\b|"
    r"ich bin (derzeit |zur zeit )?abwesend|"
    r"out of (the )?office\s*(:|$|[-–—]|\(|(auto)?[- ]?(reply|notif|message)|re:|until|from)|ooo\s*[:\-–]|"
    r"(i am|i'm) (currently )?(out of (the )?office|on (vacation|leave|holiday)|away)|"
    r"vacation (reply|response|message)|away from (the )?office|"
    r"автоответ(?!чик\w*\s+\w)|авто-ответ|автоматическ(ий|ое) (ответ|уведомление)|автовідповідь|автоматична відповідь|"
    r"réponse automatique|absence du bureau|respuesta automática|risposta automatica|resposta automática|"
    r"fuera de (la )?oficina|fuori sede|otomatik yanıt|自动回复|自動応答)",
    re.IGNORECASE,
)
_HOLDS = re.compile(
    r"[(\[]\s*(авто-?ответ(чик)?|auto-?(reply|response|responder)|автоматический ответ)\s*[)\]]", re.IGNORECASE
)
_ABSENT = re.compile(
    rf"\s*(?P<re>{_RE})(?:я\s+)?(?:сейчас\s+|временно\s+)?(?:нахожусь\s+|буду\s+)?"
    r"(?:в\s+(?:ежегодном\s+|очередном\s+|декретном\s+)?(?:отпуске|отгуле|командировке)|на больничном|"
    r"отсутствую(?:\s+(?:в\s+офисе|на\s+(?:рабочем\s+)?месте|на\s+работе))?|отсутствовать|"
    r"(?:меня\s+)?(?:нет|не\s+будет)\s+(?:в\s+офисе|на\s+(?:рабочем\s+)?месте|на\s+работе)|(?:вне|поза)\s+офис[ау]|не\s+в\s+офисе|"
    r"у\s+відпустці|у\s+відрядженні)(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_WORD = re.compile(r"[^\W\d_]+")
_UNTIL = frozenset(
    "с со до по на from until till to з г года год го й числа число включительно неделю недели недель день дня дней "
    "января февраля марта апреля мая июня июля августа сентября октября ноября декабря янв фев мар апр июн июл авг сен "
    "сент окт ноя нояб дек понедельника вторника среды четверга пятницы субботы воскресенья понедельник вторник среду "
    "четверг пятницу субботу воскресенье january february march april may june july august september october november "
    "december січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня".split()
)
"""Words that tell how long; beside any other a person may have written the subject."""
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
_MAY_BE = re.compile(r"\s*(auto|авто)\s*:", re.IGNORECASE)
"""What a machine puts before a subject, and what people write who deal in cars."""
_PERSON_ASKS = re.compile(r"\?\s*$")


def is_away(subject: str, beginning: Callable[[], str]) -> bool:
    """Tell an answering machine by the subject, where that is not enough together with the text's `beginning`."""
    if _BEGINS.match(subject) or _HOLDS.search(subject):
        return True
    absent = _ABSENT.match(subject)
    if absent is None:
        return _MAY_BE.match(subject) is not None and _SAYS_SO.search(beginning()) is not None
    is_date = all(word.lower() in _UNTIL for word in _WORD.findall(absent["rest"]))
    # "Re: Отсутствую в офисе: <the subject that it answers>".
    is_before_subject = bool(absent["re"]) and absent["rest"].lstrip().startswith(":")
    if (is_date or is_before_subject) and not _PERSON_ASKS.search(subject):
        return True
    # It is about a holiday, or begins as if: only a machine goes on to say so in the first sentences.
    return _SAYS_SO.search(beginning()) is not None
