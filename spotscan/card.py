"""The printable SpotScan card as a PDF at true size, with a place to check the print."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from spotscan.card_layout import CARD_SIZE_MM, Fill, Text, card_items
from spotscan.errors import UsageError

PAPERS_MM: dict[str, tuple[float, float]] = {"a4": (210.0, 297.0), "letter": (215.9, 279.4)}
# ISO/IEC 7810:2019, ID-1: nominal width, height and corner radius of a bank card, mm.
BANK_CARD_MM = (85.60, 53.98, 3.18)

_PT = 72 / 25.4  # points per mm
_CAP = 0.718  # height of Helvetica's capitals per point size
_TOP = 66.0  # from the top of the paper to the top of the card, mm

_PRINT = (
    "Print at 100 % (actual size), with no \u201cfit to page\u201d, on matt white paper.",
    "Check the print below. Then glue it on stiff cardboard and cut the card out along the dashed line.",
)
_CHECK = (
    "Is the print true to size?  Lay a bank card on the outline: it must cover it exactly.",
    "With a ruler: the long line is 100 mm, the short one 50 mm. If they are off by more",
    "than half a millimetre, set the printer to 100 % and print again. Do not use this print.",
)
_PHOTO = (
    "How to take the photo",
    "1.  Lay the card flat on the skin, close beside the marks, not on them. It must not bend.",
    "2.  Hold the phone straight above, 20 to 30 cm away, so that marks and card fill the picture.",
    "3.  Daylight, no flash, no shadow of the phone, no shine on card or skin.",
    "4.  Tap on the skin to focus, hold still, take the photo. All four black squares should be in it.",
    "5.  Send the original file: messengers shrink photos.",
    "SpotScan informs and measures; it never makes a diagnosis. If you are worried, see a doctor.",
)


def write_card(target: str | Path | IO[bytes], paper: str = "a4") -> None:
    """Write the card as a one-page vector PDF.

    The bytes depend on nothing but the paper and the version of reportlab.

    Parameters
    ----------
    target : str, Path or binary file
        Where to.
    paper : {"a4", "letter"}
        Paper to print on.

    Raises
    ------
    UsageError
        Unknown paper.
    """
    if paper not in PAPERS_MM:
        raise UsageError(f"unknown paper '{paper}'", "--paper", f"use one of {', '.join(PAPERS_MM)}")
    from reportlab.pdfgen.canvas import Canvas

    width, height = PAPERS_MM[paper]
    # reportlab takes a name or an open file.
    name = str(target) if isinstance(target, str | Path) else target
    canvas = Canvas(name, pagesize=(width * _PT, height * _PT), invariant=1)
    canvas.setTitle("SpotScan reference card")
    canvas.setAuthor("SpotScan")
    page = _Page(canvas, height)
    left = (width - CARD_SIZE_MM[0]) / 2
    page.words(width / 2, 22, 5.0, "SpotScan reference card", centred=True, bold=True)
    page.words(width / 2, 29, 2.0, "It gives a photo of skin marks its millimetres.", centred=True)
    margin = 22.0
    page.block(margin, 42, _PRINT)
    _draw_card(page, left, _TOP)
    _draw_check(page, width, _TOP + CARD_SIZE_MM[1] + 16)
    page.block(margin, _TOP + CARD_SIZE_MM[1] + 108, _PHOTO, bold_first=True)
    canvas.showPage()
    canvas.save()


class _Page:
    """A reportlab canvas in mm from the top-left corner, y down."""

    def __init__(self, canvas: Any, height: float) -> None:
        self.canvas, self.height = canvas, height

    def point(self, x: float, y: float) -> tuple[float, float]:
        return x * _PT, (self.height - y) * _PT

    def fill(self, fill: Fill, x0: float, y0: float) -> None:
        # One path: neighbouring modules leave no hairline between them.
        path = self.canvas.beginPath()
        for x, y, w, h in fill.rects:
            left, bottom = self.point(x0 + x, y0 + y + h)
            path.rect(left, bottom, w * _PT, h * _PT)
        self.canvas.setFillColorRGB(*(value / 255 for value in fill.rgb))
        self.canvas.drawPath(path, stroke=0, fill=1)

    def words(
        self,
        x: float,
        y: float,
        cap: float,
        words: str,
        *,
        centred: bool = False,
        bold: bool = False,
        rgb: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        self.canvas.setFillColorRGB(*(value / 255 for value in rgb))
        self.canvas.setFont("Helvetica-Bold" if bold else "Helvetica", cap * _PT / _CAP)
        write = self.canvas.drawCentredString if centred else self.canvas.drawString
        write(*self.point(x, y), words)

    def block(self, x: float, y: float, lines: tuple[str, ...], *, bold_first: bool = False) -> None:
        for index, line in enumerate(lines):
            self.words(x, y + 6 * index, 2.4, line, bold=bold_first and index == 0)

    def line(self, x: float, y: float, to_x: float, to_y: float) -> None:
        self.canvas.line(*self.point(x, y), *self.point(to_x, to_y))


def _draw_card(page: _Page, x0: float, y0: float) -> None:
    for item in card_items():
        if isinstance(item, Text):
            page.words(x0 + item.x, y0 + item.y, item.height, item.words, centred=True, rgb=item.rgb)
        else:
            page.fill(item, x0, y0)
    canvas, (width, height) = page.canvas, CARD_SIZE_MM
    canvas.saveState()
    canvas.setStrokeGray(0.45)
    canvas.setLineWidth(0.15 * _PT)
    canvas.setDash(2 * _PT, 1.5 * _PT)
    canvas.rect(*page.point(x0, y0 + height), width * _PT, height * _PT, stroke=1, fill=0)
    canvas.restoreState()
    page.words(x0, y0 - 1.5, 1.6, "cut here", rgb=(110, 110, 110))


def _draw_check(page: _Page, paper_width: float, top: float) -> None:
    width, height, radius = BANK_CARD_MM
    canvas, x0 = page.canvas, (paper_width - width) / 2
    page.block(22.0, top, _CHECK)
    top += 18
    canvas.setStrokeGray(0)
    canvas.setLineWidth(0.15 * _PT)
    canvas.roundRect(*page.point(x0, top + height), width * _PT, height * _PT, radius * _PT, stroke=1, fill=0)
    middle = paper_width / 2
    page.words(middle, top + 8, 2.0, "bank card here (85.60 x 53.98 mm)", centred=True)
    # The 100 mm line is longer than the card: it stands under it, the 50 mm line inside.
    for y, length in ((top + 30, 50.0), (top + height + 7, 100.0)):
        page.line(middle - length / 2, y, middle + length / 2, y)
        for x in (middle - length / 2, middle + length / 2):
            page.line(x, y - 2, x, y + 2)
        page.words(middle, y - 1.5, 2.0, f"{length:g} mm", centred=True)
