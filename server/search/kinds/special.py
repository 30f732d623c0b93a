"""special: `near`, places by their distance (https://hl7.org/fhir/R4/location.html#search).

A position is two spans, `lat` and `lon`, in units of 1e-7 degree. The circle asked for is covered by strips of
latitude, each as wide as the circle is at its widest in the strip, so that any evaluator of ranges can answer: nothing
within the distance is missed, and what is found is at most three percent beyond it.
"""

import itertools
import math
from typing import Any

from server.errors import Invalid
from server.keys import SPAN, All, Span, Test
from server.keys import Any as AnyOf
from server.search.kinds.kind import Add, Asked, Kind, Setting, split, unescape

SCALE = 10**7
STRIPS = 64
KILOMETRES = {"km": 1.0, "m": 0.001, "[mi_i]": 1.609344, "[mi_us]": 1.609347, "[ft_i]": 0.0003048, "[nmi_i]": 1.852}
DEFAULT_KILOMETRES = 10.0  # when no distance is given: the server's own discretion
_EARTH_KILOMETRES = 6371.0088
_MOST_KILOMETRES = 20_038  # half way round


def _position(value: Any, _: str, __: Setting, add: Add) -> None:
    latitude, longitude = value.get("latitude"), value.get("longitude")
    if latitude is None or longitude is None or not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return
    for key, degrees in (("lat", latitude), ("lon", longitude)):
        at = round(degrees * SCALE)
        add((key, "", at, at))


def _test(asked: Asked, _: Setting) -> Test:
    """`latitude|longitude|distance|units`; the last two may be missing: 10, km."""
    parts = [unescape(part) for part in split(asked.value, "|")]
    try:
        latitude, longitude = float(parts[0]), float(parts[1])
        distance = float(parts[2]) if len(parts) > 2 and parts[2] else DEFAULT_KILOMETRES
    except (ValueError, IndexError) as error:
        raise Invalid(f"'{asked.value}' is not latitude|longitude|distance|units", asked.name) from error
    unit = parts[3] if len(parts) > 3 and parts[3] else "km"
    if len(parts) > 4 or not (-90 <= latitude <= 90 and -180 <= longitude <= 180 and distance >= 0):
        raise Invalid(f"'{asked.value}' is no place on earth: latitude|longitude|distance|units", asked.name)
    if unit not in KILOMETRES:
        raise Invalid(f"'{unit}' is no unit of distance here: one of {', '.join(KILOMETRES)}", asked.name)
    return _circle(asked.param, latitude, longitude, min(distance * KILOMETRES[unit], _MOST_KILOMETRES))


def _circle(param: str, latitude: float, longitude: float, kilometres: float) -> Test:
    reach = math.degrees(kilometres / _EARTH_KILOMETRES)
    leaning = math.sin(math.radians(latitude)) / max(math.cos(math.radians(reach)), 1e-12)
    widest = math.degrees(math.asin(leaning)) if abs(leaning) <= 1 else latitude  # a little nearer to the pole
    # thin where the circle's edge runs flat: the same error everywhere
    edges = [latitude - reach * math.cos(math.pi * n / STRIPS) for n in range(STRIPS + 1)]
    strips: list[Test] = []
    for south, north in itertools.pairwise(edges):
        if north < -90 or south > 90:
            continue
        half = max(_half_width(latitude, at, reach) for at in (south, north, min(max(widest, south), north)))
        strips.append(All((_span(param, "lat", south, north), _longitudes(param, longitude - half, longitude + half))))
    return All((_span(param, "lat", latitude - reach, latitude + reach), AnyOf(tuple(strips))))  # the first can lead


def _half_width(centre: float, at: float, reach: float) -> float:
    """How many degrees of longitude from the centre's meridian the circle reaches at a latitude."""
    phi, here, angle = math.radians(centre), math.radians(max(-90.0, min(90.0, at))), math.radians(reach)
    denominator = math.cos(phi) * math.cos(here)
    if denominator < 1e-12:
        return 180.0  # at a pole every meridian is near
    cosine = (math.cos(angle) - math.sin(phi) * math.sin(here)) / denominator
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def _longitudes(param: str, west: float, east: float) -> Test:
    """A range of longitudes, also one across the 180th meridian."""
    if east - west >= 360:
        return _span(param, "lon", -180, 180)
    if west < -180:
        return AnyOf((_span(param, "lon", west + 360, 180), _span(param, "lon", -180, east)))
    if east > 180:
        return AnyOf((_span(param, "lon", west, 180), _span(param, "lon", -180, east - 360)))
    return _span(param, "lon", west, east)


def _span(param: str, key: str, low: float, high: float) -> Test:
    first, last = math.floor(low * SCALE), math.ceil(high * SCALE)
    return Span(param, ((("low", ">=", first), ("low", "<=", last)),), key)


SPECIAL = Kind(SPAN, {"Location.position": _position}, _test, sortable=False)
