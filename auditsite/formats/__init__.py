"""formats: how days and times are written, in every page that does not say so itself."""
