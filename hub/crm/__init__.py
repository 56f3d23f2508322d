"""People, rights, clients, leads, the queue and the timeline. Whoever imports any of it has every kind registered."""

from hub.crm import kinds as kinds
