"""`mcis`, the user's command. In: arguments, environment. Out: tables or JSON; it speaks only to the API."""
