"""The words of mail systems: who writes a notice that mail came back, under which subject, in which sentences.

Decides nothing by itself; `automatic` weighs these signs. Pure, linear: each pattern is asked of a bounded text.

Source: notices of Postfix, Exim, qmail, Sendmail, Courier, Exchange and Microsoft 365 (ru, en, de), Google, Yandex,
Mail.ru, Rambler, Yahoo, Amazon SES, CommuniGate, Domino, Kerio, MDaemon, Zimbra, GroupWise, hMailServer and others.
"""

from __future__ import annotations

import re

BEGINNING_CHARS = 3_000
"""How much of a text is looked at."""

DAEMON = re.compile(
    r"(mailer[-_.]?daemon|mail[-_.]?daemon|mdaemon|microsoftexchange[0-9a-f]{32}|mail-?delivery-?(sub)?system)(@|$)",
    re.IGNORECASE,
)
"""Nobody has these addresses but a mail system."""
KEEPER = re.compile(
    r"(postmaster|bounces?([-+=.].{0,80})?|mail[-_.]?(admin|system|server)|no-?reply|do-?not-?reply|administrator|"
    r"system|mailer|root|mail|delivery|smtp|notification)(@|$)",
    re.IGNORECASE,
)
"""Addresses that a mail system writes from, and people or other machines perhaps too."""
POSTMASTER = re.compile(r"(postmaster|mail[-_.]?(admin|system|server)|bounces?)(@|$)", re.IGNORECASE)
SYSTEM_NAME = re.compile(
    r"mail(er)? (delivery|system|administrator|router|server)|delivery (sub)?system|mailer[- ]daemon|"
    r"postmaster|microsoft outlook$|system administrator|internet mail delivery|mail delivery|courier mail server|"
    r"системный администратор|почтов(ый|ая|ого) (сервер|служба|робот|систем)|"
    r"(служба|система) доставки (почты|сообщений|писем)|"
    r"mail\.?ru.{0,20}(daemon|robot)|mailsystem|e-?mail-?administrator|systemadministrator",
    re.IGNORECASE,
)

SUBJECT = re.compile(
    r"\s*(\W{0,4}\s*)(undeliver(ed|able)|(mail |message |e-?mail )?deliver(y|ed)[ :-]{0,3}(notification|report|error|"
    r"problem|failed|failure|has failed|status notification|unsuccessful|delayed)|"
    r"delivery report|returned (mail|message|to)|"
    r"mail (delivery )?(system|failure|failed|returned)|mail delivery|failure notice|non[- ]?delivery|"
    r"message (delayed|delivery|undeliver|status|could not be deliver|you sent)|could not deliver|"
    r"(permanent|transient|temporary) (delivery )?failure|nondeliver|delayed mail|warning: (could not send|message)|"
    r"notice: mail delivery|mail system error|unable to deliver|not delivered|rejected( mail)?:|bounced? mail|"
    r"error (sending|delivering)|notification .{0,20}fail|"
    r"не ?доставлен|недоставлен|не (удалось|удаётся|удается) доставить|не может быть доставлен|ошибка (при )?доставк|"
    r"(ваше )?(письмо|сообщение) (не (было )?доставлен|не может быть доставлен|возвращен|возвращено)|"
    r"отч[её]т о (не)?доставк|уведомление о (не)?доставк|о недоставк|возврат (письма|сообщения|почты)|"
    r"сбой (при )?доставк|проблем[аы] с доставк|доставка .{0,40}(не удалась|невозможна|отложена|задерж)|"
    r"не вдалося доставити|не доставлено|помилка доставки|"
    r"unzustellbar|nicht zustellbar|zustellung fehlgeschlagen|zustellungsfehler|fehler bei der zustellung|"
    r"unzustellbare|ihre nachricht .{0,40}nicht zugestellt|"
    r"non remis|message non distribué|échec de (la )?remise|no se puede entregar|impossibile recapitare|"
    r"niedostarczon|系统退信|退信|投递失败)",
    re.IGNORECASE,
)
"""What such subjects begin with; an answer or a forward of one begins otherwise."""
SUBJECT_WITHIN = re.compile(
    r"undeliver(ed|able)|deliver(y|ed) (failed|failure|has failed|status notification)|returned mail|"
    r"failure notice|could not be delivered|не ?доставлен|недоставлен|не (удалось|удаётся|удается) доставить|"
    r"ошибка доставки|unzustellbar|nicht zustellbar|mail failure",
    re.IGNORECASE,
)

TEXT = re.compile(
    r"(could not|cannot|can't|couldn't|can not|was not|wasn't|has not been|were not|not be|unable to( be)?|"
    r"failed to( be)?|not able to|wasn't able to) (be )?(deliver|sen[dt] (it|your|the|to))|undeliverable|"
    r"delivery (to|of).{0,200}(failed|delayed|unsuccessful)|delivery (has )?failed|"
    r"this is the (mail system|qmail-send|postfix|courier|mail delivery)|"
    r"(permanent|fatal) (fatal )?errors?|returned to (you|sender)|"
    r"user (is )?unknown|unknown user|no such user|mailbox (is )?(full|unavailable)|"
    r"recipient.{0,40}(rejected|unknown|not found)|reporting-mta:|final-recipient:|is not listed in domino|"
    r"couldn't be (found|delivered)|following (address|recipient)e?s? .{0,30}fail|message was not delivered|"
    r"не (было |был[аи]? |может быть |могло быть |удалось |удаётся |удается )?(доставлен|доставить|отправлен)|"
    r"невозможно доставить|доставка .{0,120}(не удалась|невозможна|отложена|не выполнена)|ошибка доставки|"
    r"не удалось выполнить доставку|недоставлен|ошибка при доставке|не найден.{0,40}получател|"
    r"почтов(ый|ого) ящик.{0,60}(переполнен|не существует|заблокирован|не найден)|"
    r"пользовател.{0,40}не (найден|существует)|не вдалося доставити|"
    r"konnte nicht zugestellt|nicht zugestellt werden|zustellung.{0,60}(fehlgeschlagen|nicht möglich)|"
    r"n'a pas pu être (remis|distribué)|no se ha podido entregar|无法投递|退回",
    re.IGNORECASE,
)
