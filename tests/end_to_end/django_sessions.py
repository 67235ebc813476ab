"""Django's session store, as a site uses it: python django_sessions.py URL STEP KEY PAYLOAD. Prints what it found as JSON.

A process of its own, since Django is configured once.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta

import django
from django.conf import settings
from django.db import connection
from django.utils import timezone
from psycopg.conninfo import conninfo_to_dict

PAST = -3600


def main(url: str, step: str, key: str, payload: str) -> dict[str, object]:
    """Do one step of a visit."""
    parts = conninfo_to_dict(url)
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": parts["host"],
                "PORT": parts["port"],
                "NAME": parts["dbname"],
                "USER": parts["user"],
                "PASSWORD": parts.get("password", ""),
            }
        },
        INSTALLED_APPS=["django.contrib.sessions"],
        SESSION_ENGINE="django.contrib.sessions.backends.db",
        SESSION_COOKIE_AGE=3600,
        SECRET_KEY="of the tests",
        USE_TZ=True,
    )
    django.setup()
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session
    from django.core.management import call_command

    if step == "migrate":
        call_command("migrate", verbosity=0)
        return {}
    store = SessionStore(key or None)
    match step:
        case "create":
            store["cart"] = payload
            store.create()
        case "renew":  # the time of its end slides on
            store["seen"] = payload
            store.set_expiry(7200)
            store.save()
        case "cycle":
            store.cycle_key()
        case "expire":
            Session.objects.filter(pk=key).update(expire_date=timezone.now() + timedelta(seconds=PAST))
        case "clear":
            call_command("clearsessions")
        case "flush":
            store.flush()
    left = Session.objects.filter(pk=store.session_key).first()
    return {
        "key": store.session_key,
        "data": dict(SessionStore(store.session_key).load()) if store.session_key else {},
        "seconds": None if left is None else (left.expire_date - timezone.now()).total_seconds(),
        "all": Session.objects.count(),
        "backend": connection.pg_version,
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
