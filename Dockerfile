# Needs no BuildKit. PostgreSQL's program for backups comes from the image of the server, so that both are of one version.
ARG POSTGRES_IMAGE=postgres:18
ARG PYTHON_IMAGE=python:3.12-slim

FROM ${POSTGRES_IMAGE} AS postgres
# With the libraries that it needs, its loader among them: the image that it goes into may have others.
RUN mkdir -p /pg_basebackup \
    && program=$(command -v pg_basebackup) \
    && cp "$program" /pg_basebackup/program \
    && ldd "$program" | grep -o '/[^ ]*' | xargs -I{} cp -L {} /pg_basebackup/ \
    && loader=$(cd /pg_basebackup && ls ld-linux*) \
    && printf '#!/bin/sh\nexec /opt/pg_basebackup/%s --library-path /opt/pg_basebackup /opt/pg_basebackup/program "$@"\n' "$loader" \
        > /pg_basebackup/pg_basebackup \
    && chmod 755 /pg_basebackup/pg_basebackup

FROM ${PYTHON_IMAGE}
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STATIC_ROOT=/srv/static DJANGO_SETTINGS_MODULE=auditsite.settings \
    HOME=/tmp XDG_CACHE_HOME=/tmp/cache
WORKDIR /srv/auditsite
# Pango draws the reports in PDF.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*
COPY --from=postgres /pg_basebackup /opt/pg_basebackup
RUN ln -s /opt/pg_basebackup/pg_basebackup /usr/local/bin/pg_basebackup
# One user for all of our services, whatever else is in the base image: volumes belong to the number.
RUN useradd --uid 10001 --home-dir /srv/auditsite auditsite \
    && install --directory --owner=auditsite --group=auditsite /anchor /backups /exports /lake /spool
COPY requirements/image.txt requirements/image.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/image.txt
COPY . .
# What starts often should not be compiled each time; nothing can be written later.
RUN python -m compileall -q .
# With the files of the second factor, whether it is used or not.
RUN LOGIN_MFA=optional python -m auditsite.offline python manage.py collectstatic --noinput --verbosity 0
USER 10001:10001
EXPOSE 8000
