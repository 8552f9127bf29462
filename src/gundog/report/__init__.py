"""The morning page: findings.duckdb read into frozen values, and those into one HTML file.

- `page`: the values of all parts gathered (`gather`), and the HTML of them (`html`).
- `asked`, `scope`: what a page is about, and which rows that is.
- `headline`, `trust`, `risk`, `findings`, `timeline`, `changes`, `loudness`, `month`: its parts.
- `charts`, `palette`: pictures as SVG, and the colours.
- `target`, `writing`: where the page goes, and how it gets there.

Nothing here is remembered, and nothing is changed but the place that the page is written to.
"""
