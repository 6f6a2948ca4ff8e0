"""Who fetches a link without being the customer: previews of messengers, mail scanners, search engines.

So that a preview is not taken for the customer, and so that the guest PIN does not go to a messenger's server. This is a
help and no guard: what a program calls itself is its own choice, and a scanner that calls itself a browser, as many mail
scanners do on purpose, counts as the customer.
"""

import re
from typing import Final

_LONGEST: Final = 1000
"""Characters of a ``User-Agent`` that are looked at."""

# Of the text in lower case, and in this order: several call themselves Facebook's or X's too, so as to be served like them.
_NAMES: Final = {
    "LINE": r"line-poker|linespider",
    "KakaoTalk": r"kakaotalk-scrap",
    "iMessage": r"facebookexternalhit.*twitterbot",
    "WhatsApp": r"^whatsapp/|whatsappbot",
    "Facebook": r"facebookexternalhit|facebookcatalog|facebot|meta-external",
    "Slack": r"slackbot|slack-imgproxy",
    "Telegram": r"telegrambot",
    "X": r"twitterbot",
    "LinkedIn": r"linkedinbot",
    "Discord": r"discordbot",
    "Microsoft Teams": r"skypeuripreview|microsoftpreview",
    "Microsoft Office": r"ms-?office|microsoft (?:office|outlook|word|excel|powerpoint)",
    "Microsoft Defender": r"safe-?links",
    "Bing": r"bingbot|bingpreview|adidxbot",
    "Google": r"google-pagerenderer|googlemessages|google[a-z-]*bot|google(?:other|imageproxy)|google-(?:safety|"
    r"inspectiontool|read-aloud|extended)|feedfetcher-google|mediapartners-google|google web preview",
    "Apple": r"applebot",
    "Yahoo": r"yahoo!? (?:slurp|link preview)|yahoomailproxy",
    "Viber": r"^viber",
    "Snapchat": r"snap url preview",
    "VK": r"vkshare",
    "Proofpoint": r"proofpoint|urldefense",
    "Mimecast": r"mimecast",
    "Barracuda": r"barracuda",
    "Trend Micro": r"trend ?micro",
    "Symantec": r"symantec|messagelabs",
    "Sophos": r"sophos",
    "Cisco": r"ironport|cisco secure email",
    "Fortinet": r"fortinet|fortiguard",
    "Forcepoint": r"forcepoint|websense",
    "Embedly": r"embedly",
    "Iframely": r"iframely",
    "Nextcloud": r"nextcloud server crawler",
    # A CUBOT is a telephone.
    "a robot": r"(?<!cu)bot\b|crawler|spider|(?:link|url)[ _-]?preview|scraper|unfurl",
}
_EXPRESSIONS: Final = {name: re.compile(expression) for name, expression in _NAMES.items()}


def previewer(user_agent: str) -> str:
    """Who makes a preview or scans, by its ``User-Agent``; ``""`` for everybody else, people among them."""
    shown = user_agent[:_LONGEST].lower()
    return next((name for name, expression in _EXPRESSIONS.items() if expression.search(shown)), "")
