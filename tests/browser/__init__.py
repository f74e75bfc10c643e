"""The pages in a real browser: Debian's chromium, driven by Playwright, against the whole program.

Each test has a browser context of its own, and fails when its page logs an error or breaks its Content-Security-Policy.

Map:
chromium.py            the browser; a page whose errors are kept; axe
conftest.py            the server of this room, the browser, pages of nobody and of the administrator
story_pages.py         what several tests ask of the console's pages
driver_pages.py        a mall with a driver's phone in it
scripted_feed.py       a driver feed that a test plays itself
test_live_map.py       the map while drivers drive and customers order
test_actions.py        every action of an operator, from its button to the order's history
test_lists.py          orders and drivers: filters, paging, what is empty
test_lost.py           a server that is killed under an open page
test_track.py          an order that is followed over a share link, on a phone
test_sign_in.py        signing in and out, sessions that several tabs share
test_drive.py          the app of drivers: a shift from sign-in to the door
test_drive_feed.py     malldrive.js against a feed that the test plays: order, closes, what waits for an answer
test_drive_killed.py   the app of drivers and a server that is killed
"""
