"""Pages for browsers: served by the server itself, offline, without a build step.

Map:
README.md       how a page is added, and the rules that all pages keep
registry.py     the pages, and the packages that they import: one line each
sources.py      files of this room as browsers get them: imports by name become paths
page_files.py   all files, read, compressed and tagged once
serving.py      operations: a page, and a file of a page
install.py      installs what package.json names
design/         colours, type and basic elements, for all pages
client/         modules of all pages: session, requests, theme, language
console/        the console of those who run the mall
track/          an order for whoever has its share link: plain JavaScript, small, works without packages
drive/          the app of drivers; its malldrive.js is a client of the driver feed for any app
package.json, package-lock.json   what npm installs; .npmrc how
node_modules/   what is installed; not in the repository
"""
