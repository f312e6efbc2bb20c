// Every call of the API, to be read and tried. The key stays in this page.
"use strict";
{
  const place = document.getElementById("api");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const dress = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", dress);
  dress();

  // What Swagger UI leaves to be guessed by who cannot see it, or has no mouse.
  const LACKING = {
    ".modal-ux": { role: "dialog", "aria-modal": "true", "aria-label": "Authorize" },
    ".close-modal": { "aria-label": "Close" },
    "textarea.body-param__text": { "aria-label": "Body" },
    "pre.microlight, pre.curl, .curl-command pre": { tabindex: "0" },
    "label[id$=_select]": { id: "" },
  };
  const complete = () => {
    for (const [at, wanted] of Object.entries(LACKING))
      for (const found of place.querySelectorAll(at))
        for (const [name, value] of Object.entries(wanted))
          if (found.getAttribute(name) !== value) found.setAttribute(name, value);
  };
  new MutationObserver(complete).observe(place, { childList: true, subtree: true });

  SwaggerUIBundle({
    url: place.dataset.schema,
    domNode: place,
    defaultModelsExpandDepth: -1,
    docExpansion: "list",
    displayRequestDuration: true,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
}
