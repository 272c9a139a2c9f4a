"""A Django site with its admin, as docs/applications.md sets it up: in the given folder, with a file
`gate.py` and further lines of settings in `settings_more.py`. It prints its port."""

import pathlib
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

folder = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(folder))

settings = {
    "ALLOWED_HOSTS": ["*"],
    "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "db.sqlite3"}},
    "INSTALLED_APPS": [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
    ],
    "MIDDLEWARE": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    "ROOT_URLCONF": "site_urls",
    "SECRET_KEY": "of no use to anybody",
    "STATIC_URL": "/static/",
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    "USE_TZ": True,
}
exec((folder / "settings_more.py").read_text(), settings)
(folder / "site_urls.py").write_text(
    "from django.contrib import admin\n"
    "from django.urls import path\n"
    "urlpatterns = [path('admin/', admin.site.urls)]\n"
)

import django
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

django_settings.configure(**{name: value for name, value in settings.items() if name.isupper()})
django.setup()
call_command("migrate", verbosity=0)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


# The plainest server there is: it hands on `X_Forwarded_User` as if it were `X-Forwarded-User`.
with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet) as server:
    print(f"Listening on 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
