"""The voice agent. Floors, from the top; imports go down only.

cli            the command line
main           the ASGI application
(routers)      doors: HTTP and websockets
wiring         builds every object
calls          live calls: one call, one TaskGroup
clients        vendors      | storage        SQLite
conversation   pure core    | observability  logs, metrics, health   | (media) sound
settings, models, errors, clock
"""
