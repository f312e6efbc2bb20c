"""formats.en: the words of the site are English, its times are not American."""
