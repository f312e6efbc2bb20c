FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STATIC_ROOT=/srv/static DJANGO_SETTINGS_MODULE=auditsite.settings
WORKDIR /srv/auditsite
RUN useradd --system --home-dir /srv/auditsite auditsite && install --directory --owner=auditsite /anchor /exports /spool
COPY requirements/run.txt requirements/run.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY . .
RUN python -m auditsite.offline python manage.py collectstatic --noinput --verbosity 0
USER auditsite
EXPOSE 8000
