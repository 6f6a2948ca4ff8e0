"""Who fetches a link without being the customer."""

import pytest

from policy_server.web.previews import previewer

MOZILLA = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0 Safari/537.36"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("WhatsApp/2.23.20.0 A", "WhatsApp"),
        ("WhatsApp/0.3.4479 N", "WhatsApp"),
        ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "Facebook"),
        ("meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)", "Facebook"),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "Slack"),
        ("Slackbot 1.0 (+https://api.slack.com/robots)", "Slack"),
        ("Slack-ImgProxy (+https://api.slack.com/robots)", "Slack"),
        ("TelegramBot (like TwitterBot)", "Telegram"),
        ("Twitterbot/1.0", "X"),
        (
            "LinkedInBot/1.0 (compatible; Mozilla/5.0; Jakarta Commons-HttpClient/3.1 +http://www.linkedin.com)",
            "LinkedIn",
        ),
        ("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", "Discord"),
        ("Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5", "Microsoft Teams"),
        ("Mozilla/5.0 (compatible; MicrosoftPreview/2.0; +https://aka.ms/MicrosoftPreview)", "Microsoft Teams"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 "
            "Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
            "iMessage",
        ),
        ("facebookexternalhit/1.1;line-poker/1.0", "LINE"),
        ("facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/", "KakaoTalk"),
        (f"{MOZILLA} Google-PageRenderer Google (+https://developers.google.com/+/web/snippet/)", "Google"),
        ("GoogleMessages/20231018", "Google"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Google"),
        ("Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17126; Pro)", "Microsoft Office"),
        ("Mozilla/4.0 (compatible; ms-office; MSOffice 16)", "Microsoft Office"),
        (f"{MOZILLA} SafeLinks", "Microsoft Defender"),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "Bing"),
        (f"{MOZILLA} BingPreview/1.0b", "Bing"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/600.2.5 (Applebot/0.1)", "Apple"),
        ("Proofpoint URL Defense", "Proofpoint"),
        ("Mimecast-URL-Protect/1.0", "Mimecast"),
        ("BarracudaCentral/1.0", "Barracuda"),
        ("Mozilla/5.0 (compatible; SomethingNew-Crawler/3)", "a robot"),
        ("NewMessengerBot/1.0", "a robot"),
        ("Synapse (bot; +https://github.com/matrix-org/synapse)", "a robot"),
        ("example-link-preview/2", "a robot"),
    ],
)
def test_previews_are_known_by_name(user_agent: str, name: str) -> None:
    """Messengers, scanners and search engines are named, in any case of letters."""
    assert previewer(user_agent) == previewer(user_agent.upper()) == name


@pytest.mark.parametrize(
    "user_agent",
    [
        "",
        MOZILLA,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Version/17.0 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 [FBAN/FBIOS;FBAV/438.0;FBDV/iPhone14,5]",
        "Mozilla/5.0 (Linux; Android 13; SM-S911B; wv) Chrome/119.0 Mobile Safari/537.36 Instagram 309.0",
        "Mozilla/5.0 (Linux; Android 13; wv) Mobile Safari/537.36 MicroMessenger/8.0.42 WeChat/arm64",
        "Mozilla/5.0 (Linux; Android 13) Mobile Safari/537.36 Telegram-Android/10.2",
        "Mozilla/5.0 (Windows NT 10.0) Teams/1.6.00 Chrome/102 Electron/19 Safari/537.36",
        "Mozilla/5.0 (Linux; Android 9; CUBOT X18 Plus) AppleWebKit/537.36 Chrome/119.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 9; CUBOT_P40) AppleWebKit/537.36 Chrome/119.0 Mobile Safari/537.36",
        "Mozilla/5.0 (iPad; CPU OS 17_0) GSA/289.0 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/119.0 Safari/537.36",
        "python-httpx/0.27",
        "curl/8.4.0",
    ],
)
def test_everybody_else_is_a_customer(user_agent: str) -> None:
    """Browsers, those inside of messengers too, and programs of one's own are not taken for a preview."""
    assert previewer(user_agent) == ""
