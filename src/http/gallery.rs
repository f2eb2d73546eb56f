//! The gallery at `/`: every widget live, a form that needs no script, and for each way in what to copy, with the height
//! to reserve, the policy to allow it by, and what it weighs.

use askama::Template;
use providers::Kind as Quotes;
use widgets::{Lang, Scale, Width, heading, model::Kind};

use super::{
    Site,
    encoded::Encoded,
    pages,
    wanted::pairs,
    widget::{self, Form, SCRIPT, STYLE},
};
use crate::{
    board::{ServedFeed, Snapshot, Status},
    filter::{self, WrongParameter},
    widget::{Options, chart::Course},
};

/// Widths of the form.
const WIDTHS: [u32; 3] = [300, 390, 680];

/// What the form says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    options: Options,
    width: u32,
    /// Whose exchange rates.
    bank: Option<&'static str>,
}

impl Choice {
    /// What is shown.
    pub(super) const fn options(&self) -> &Options {
        &self.options
    }

    /// Names it among what is derived.
    pub(super) fn key(&self) -> String {
        format!("{},{},{}", self.options.path(), self.width, self.bank.unwrap_or_default())
    }

    /// Whether nothing was chosen.
    pub(super) fn is_default(&self) -> bool {
        self.options.is_default() && self.width == WIDTHS[0]
    }
}

/// Reads the form. A field that was left empty is one that was not filled in.
pub(super) fn read(site: &Site, snapshot: &Snapshot, query: &str) -> Result<Choice, Vec<WrongParameter>> {
    let (mut kind, mut width, mut bank) = (Kind::Panel, None, None);
    let mut rest = Vec::new();
    let mut wrong = Vec::new();
    let banks = filter::houses(&snapshot.feeds, Quotes::Fx);
    for (parameter, value) in pairs(query).filter(|(_, value)| !value.is_empty()) {
        let allowed: Vec<String> = match parameter.as_str() {
            "widget" => match Kind::named(&value) {
                Some(known) => {
                    kind = known;
                    continue;
                }
                None => Kind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect(),
            },
            "width" => match value.parse().ok().filter(|width| WIDTHS.contains(width)) {
                Some(known) => {
                    width = Some(known);
                    continue;
                }
                None => WIDTHS.iter().map(u32::to_string).collect(),
            },
            "fx" => match banks.iter().find(|bank| **bank == value) {
                Some(known) => {
                    bank = Some(*known);
                    continue;
                }
                None => banks.iter().map(|bank| (*bank).to_owned()).collect(),
            },
            _ => {
                rest.push((parameter, value));
                continue;
            }
        };
        wrong.push(WrongParameter { parameter, value, allowed });
    }
    if let Some(bank) = bank.filter(|_| matches!(kind, Kind::Panel | Kind::Fx | Kind::Ticker)) {
        rest.push(("providers".to_owned(), bank.to_owned()));
    }
    // What it weighs by default is what most will see.
    rest.retain(|(name, value)| !(name == "accent" && value.trim_start_matches('#') == DEFAULT_ACCENT));
    let houses = |kind| filter::houses(&snapshot.feeds, kind);
    let options = Options::read(kind, rest.into_iter(), &houses, &site.presets);
    match options {
        Ok(options) if wrong.is_empty() => {
            let width = width.unwrap_or(Width::of(kind).pixels());
            Ok(Choice { options, width, bank })
        }
        Ok(_) => Err(wrong),
        Err(errors) => {
            wrong.extend(errors);
            Err(wrong)
        }
    }
}

/// The house's gold, by light.
const DEFAULT_ACCENT: &str = "a87400";

/// One thing to copy.
struct Snippet {
    title: &'static str,
    /// What it is for, and what it weighs.
    facts: String,
    code: String,
    /// What a strict policy has to allow.
    policy: Option<String>,
    /// For pages that allow no style in the markup.
    rule: Option<String>,
    /// Address and hash for those who pin what they load.
    pinned: Option<(String, String)>,
}

/// A choice of the form.
struct Pick {
    value: String,
    label: &'static str,
    note: &'static str,
    chosen: bool,
}

/// A widget in a frame of the gallery itself.
struct Live {
    title: &'static str,
    src: String,
    height: u32,
    class: &'static str,
}

/// A source and its state.
struct Source {
    name: &'static str,
    kind: &'static str,
    state: &'static str,
    page: &'static str,
}

#[derive(Template)]
#[template(path = "gallery.html", config = "src/http/askama.toml")]
struct Gallery {
    t: &'static Texts,
    lang: Lang,
    other: &'static str,
    style: &'static str,
    icon: &'static str,
    script: &'static str,
    recorded: bool,
    kinds: Vec<Pick>,
    themes: Vec<Pick>,
    transparent: bool,
    widths: Vec<Pick>,
    banks: Vec<(&'static str, bool)>,
    rows: String,
    terms: String,
    accent: String,
    width: u32,
    height: u32,
    size: String,
    live: Live,
    snippets: Vec<Snippet>,
    others: Vec<Live>,
    sources: Vec<Source>,
}

impl Site {
    /// The page.
    pub(super) fn gallery(
        &self,
        snapshot: &Snapshot,
        choice: &Choice,
        course: Option<&Course>,
    ) -> Option<Encoded> {
        let options = &choice.options;
        let (kind, lang) = (options.kind, options.look.lang);
        let t = texts(lang);
        let height = self.height(snapshot, options, Width::new(choice.width));
        let sizes = Sizes::of(self, snapshot, options, course, lang)?;
        let page = Gallery {
            t,
            lang,
            other: if lang == Lang::Vi { "en" } else { "vi" },
            style: pages::style(),
            icon: pages::icon(),
            script: pages::script(),
            recorded: snapshot.recorded,
            kinds: Kind::ALL
                .iter()
                .zip(t.kinds)
                .map(|(known, (label, note))| Pick {
                    value: known.as_str().to_owned(),
                    label,
                    note,
                    chosen: *known == kind,
                })
                .collect(),
            themes: ["auto", "light", "dark"]
                .iter()
                .zip(t.themes)
                .map(|(value, label)| Pick {
                    value: (*value).to_owned(),
                    label,
                    note: "",
                    chosen: options.look.theme.as_str() == *value
                        || (*value == "auto" && options.look.theme == widgets::Theme::Transparent),
                })
                .collect(),
            transparent: options.look.transparent || options.look.theme == widgets::Theme::Transparent,
            widths: WIDTHS
                .iter()
                .map(|width| Pick {
                    value: width.to_string(),
                    label: "",
                    note: "",
                    chosen: *width == choice.width,
                })
                .collect(),
            banks: filter::houses(&snapshot.feeds, Quotes::Fx)
                .into_iter()
                .map(|bank| (bank, choice.bank == Some(bank)))
                .collect(),
            rows: options.rows.map(|rows| rows.to_string()).unwrap_or_default(),
            terms: options.filter.terms().iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            accent: options
                .look
                .accent
                .map_or_else(|| DEFAULT_ACCENT.to_owned(), |accent| accent.to_string()),
            width: choice.width,
            height,
            size: sizes.page.clone(),
            live: self.live(snapshot, options, choice.width, ""),
            snippets: self.snippets(snapshot, choice, height, &sizes),
            others: self.others(snapshot, kind, lang),
            sources: sources(snapshot, t),
        };
        let text = page
            .render()
            .inspect_err(|error| tracing::error!(%error, "the gallery could not be drawn"))
            .ok()?;
        Some(pages::html(&text))
    }

    /// A widget in a frame of so many pixels.
    fn live(&self, snapshot: &Snapshot, options: &Options, width: u32, class: &'static str) -> Live {
        Live {
            title: heading(options.kind, options.look.lang),
            src: options.path().trim_start_matches('/').to_owned(),
            height: self.height(snapshot, options, Width::new(width)),
            class,
        }
    }

    /// Every other widget, as it is without options.
    fn others(&self, snapshot: &Snapshot, chosen: Kind, lang: Lang) -> Vec<Live> {
        let houses = |kind| filter::houses(&snapshot.feeds, kind);
        let lang = [("lang".to_owned(), lang.to_string())];
        Kind::ALL
            .iter()
            .filter(|kind| **kind != chosen)
            .filter_map(|kind| Options::read(*kind, lang.iter().cloned(), &houses, &self.presets).ok())
            .map(|options| {
                // At its highest: columns are about as wide, and the tape is narrow on a phone only.
                let class = if options.kind == Kind::Ticker { "wide" } else { "" };
                self.live(snapshot, &options, 357, class)
            })
            .collect()
    }

    fn snippets(&self, snapshot: &Snapshot, choice: &Choice, height: u32, sizes: &Sizes) -> Vec<Snippet> {
        let options = &choice.options;
        let (kind, lang, width) = (options.kind, options.look.lang, choice.width);
        let (t, title) = (texts(lang), heading(kind, lang));
        let page = self.at(&options.path());
        let safe = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;");
        let href = safe(&page);
        let origin = self.public_url.origin().ascii_serialization();
        let attributes: Vec<String> = url::form_urlencoded::parse(options.query.as_bytes())
            .map(|(name, value)| format!(" {name}=\"{}\"", safe(&value)))
            .collect();
        let attributes = attributes.concat();
        let fragment = self.at(&options.under("/fragments/", ""));
        let picture = self.at(&options.under("/images/", ".png"));
        let double = format!("{picture}{}scale=2", if options.query.is_empty() { '?' } else { '&' });
        let (drawn_wide, drawn_high) = self.picture_size(snapshot, options);
        let pinned =
            |asset: &widget::Asset| Some((self.at(&format!("/{}", asset.pinned)), asset.integrity.clone()));
        let (picture, double) = (safe(&picture), safe(&double));
        vec![
            Snippet {
                title: t.element,
                facts: format!("{} · {}, {}", t.element_for, sizes.element, t.two_requests),
                code: format!(
                    "<script type=\"module\" crossorigin src=\"{}\"></script>\n<bang-gia widget=\"{}\"{attributes} style=\"display:block;min-height:{height}px\">\n  <a href=\"{href}\">{title}</a>\n</bang-gia>",
                    self.at("/embed/v1.js"),
                    kind.as_str(),
                ),
                policy: Some(format!("script-src {origin}; connect-src {origin}")),
                rule: Some(format!("bang-gia {{ display: block; min-height: {height}px }}")),
                pinned: pinned(&SCRIPT),
            },
            Snippet {
                title: "iframe",
                facts: format!("{} · {}, {}", t.iframe_for, sizes.page, t.one_request),
                code: format!(
                    "<iframe src=\"{href}\" title=\"{title}\" width=\"{width}\" height=\"{height}\" loading=\"lazy\" referrerpolicy=\"no-referrer\" frameborder=\"0\"></iframe>"
                ),
                policy: Some(format!("frame-src {origin}")),
                rule: None,
                pinned: None,
            },
            Snippet {
                title: t.include,
                facts: format!("{} · {}", t.include_for, sizes.fragment),
                code: format!(
                    "<link rel=\"stylesheet\" crossorigin href=\"{}\">\n\n<!-- nginx -->   <!--#include virtual=\"{}\" -->\n<!-- Varnish --> <esi:include src=\"{}\"/>\n<!-- PHP -->     <?= file_get_contents('{fragment}') ?>",
                    self.at("/embed/v1.css"),
                    safe(&options.under("/banggia/fragments/", "")),
                    safe(&options.under("/banggia/fragments/", "")),
                ),
                policy: Some(format!("style-src {origin}")),
                rule: None,
                pinned: pinned(&STYLE),
            },
            Snippet {
                title: t.picture,
                facts: format!("{} · {}", t.picture_for, sizes.picture),
                code: format!(
                    "<a href=\"{href}\"><img src=\"{picture}\" srcset=\"{double} 2x\" width=\"{drawn_wide}\" height=\"{drawn_high}\" alt=\"{title}\" referrerpolicy=\"no-referrer\" style=\"display:block;max-width:100%;height:auto\"></a>"
                ),
                policy: Some(format!("img-src {origin}")),
                rule: Some("img { display: block }".to_owned()),
                pinned: None,
            },
            Snippet {
                title: "oEmbed",
                facts: t.oembed_for.to_owned(),
                code: page.clone(),
                policy: Some(format!("frame-src {origin}")),
                rule: None,
                pinned: None,
            },
            Snippet {
                title: "AMP",
                facts: t.amp_for.to_owned(),
                code: format!(
                    "<script async custom-element=\"amp-iframe\" src=\"https://cdn.ampproject.org/v0/amp-iframe-0.1.js\"></script>\n<amp-iframe src=\"{href}\" title=\"{title}\" width=\"{width}\" height=\"{height}\" layout=\"fixed\" sandbox=\"allow-scripts allow-popups\" frameborder=\"0\" resizable>\n  <amp-img src=\"{picture}\" width=\"{drawn_wide}\" height=\"{drawn_high}\" layout=\"fixed\" alt=\"{title}\" placeholder></amp-img>\n  <div overflow tabindex=\"0\" role=\"button\" aria-label=\"{title}\">{title}</div>\n</amp-iframe>"
                ),
                policy: None,
                rule: None,
                pinned: None,
            },
        ]
    }
}

fn sources(snapshot: &Snapshot, t: &Texts) -> Vec<Source> {
    let source = |feed: &ServedFeed| Source {
        name: feed.state.institution.name,
        kind: match feed.state.feed.kind {
            Quotes::Gold => t.gold,
            Quotes::Fx => t.fx,
            Quotes::Deposit => t.deposits,
        },
        state: match feed.status {
            Status::Fresh => t.fresh,
            Status::Stale => t.stale,
            Status::Expired => t.expired,
            Status::Unavailable => t.unavailable,
        },
        page: feed.state.feed.page,
    };
    snapshot.feeds.iter().map(source).collect()
}

/// What each way in weighs on the wire.
struct Sizes {
    element: String,
    page: String,
    fragment: String,
    picture: String,
}

impl Sizes {
    fn of(
        site: &Site,
        snapshot: &Snapshot,
        options: &Options,
        course: Option<&Course>,
        lang: Lang,
    ) -> Option<Self> {
        let of = |form| site.widget(snapshot, form, options, course).map(|encoded| encoded.shortest());
        let script = SCRIPT.encoded().shortest();
        Some(Self {
            element: kilobytes(script + of(Form::Tree)?, lang),
            page: kilobytes(of(Form::Page)?, lang),
            fragment: kilobytes(of(Form::Fragment)?, lang),
            picture: kilobytes(of(Form::Png(Scale::One))?, lang),
        })
    }
}

/// `4,3 kB`
fn kilobytes(bytes: usize, lang: Lang) -> String {
    let tenths = (bytes + 50) / 100;
    let mark = if lang == Lang::Vi { ',' } else { '.' };
    format!("{}{mark}{} kB", tenths / 10, tenths % 10)
}

/// Words of the gallery.
struct Texts {
    page_title: &'static str,
    skip: &'static str,
    pages: &'static str,
    widgets: &'static str,
    sources: &'static str,
    language: &'static str,
    title: (&'static str, &'static str),
    lead: &'static str,
    choose: &'static str,
    widget: &'static str,
    ground: &'static str,
    transparent: &'static str,
    width: &'static str,
    lang: &'static str,
    content: &'static str,
    bank: &'static str,
    rows: &'static str,
    terms: &'static str,
    accent: &'static str,
    as_configured: &'static str,
    show: &'static str,
    preview: &'static str,
    fixed: &'static str,
    one_request: &'static str,
    two_requests: &'static str,
    code: &'static str,
    code_of: &'static str,
    copy: &'static str,
    copied: &'static str,
    policy: &'static str,
    pin: &'static str,
    strict: &'static str,

    others: &'static str,
    in_use: &'static str,
    full: &'static str,
    recorded: &'static str,
    foot: &'static str,
    kinds: [(&'static str, &'static str); 6],
    themes: [&'static str; 3],
    element: &'static str,
    element_for: &'static str,
    iframe_for: &'static str,
    include: &'static str,
    include_for: &'static str,
    picture: &'static str,
    picture_for: &'static str,
    oembed_for: &'static str,
    amp_for: &'static str,
    gold: &'static str,
    fx: &'static str,
    deposits: &'static str,
    fresh: &'static str,
    stale: &'static str,
    expired: &'static str,
    unavailable: &'static str,
}

const fn texts(lang: Lang) -> &'static Texts {
    match lang {
        Lang::Vi => &VI,
        Lang::En => &EN,
    }
}

static VI: Texts = Texts {
    page_title: "Bảng Giá: tiện ích giá vàng, tỷ giá, lãi suất cho trang báo",
    skip: "Tới nội dung",
    pages: "Trang",
    widgets: "Tiện ích",
    sources: "Nguồn",
    language: "English",
    title: ("Dán một dòng,", "trang báo có ngay bảng giá"),
    lead: "Giá vàng, tỷ giá và lãi suất tiền gửi, đọc từ chính nơi công bố. Con số nào cũng ghi rõ của ai, đơn vị gì, lúc nào. Không cookie, không theo dõi bạn đọc, không cần JavaScript.",
    choose: "Chọn",
    widget: "Tiện ích",
    ground: "Nền",
    transparent: "Trong suốt",
    width: "Bề rộng",
    lang: "Ngôn ngữ",
    content: "Nội dung",
    bank: "Tỷ giá của",
    rows: "Số dòng",
    terms: "Kỳ hạn (tháng)",
    accent: "Màu nhấn",
    as_configured: "theo cấu hình",
    show: "Xem thử",
    preview: "Xem thử",
    fixed: "chiều cao cố định, trang không xê dịch",
    one_request: "1 yêu cầu",
    two_requests: "2 yêu cầu",
    code: "Mã nhúng",
    code_of: "Mã",
    copy: "Sao chép",
    copied: "Đã sao chép",
    policy: "Content-Security-Policy",
    pin: "Ghim phiên bản (SRI)",
    strict: "Nếu trang cấm style trong thẻ: bỏ style, đặt vào tệp CSS",

    others: "Các tiện ích khác",
    in_use: "Nguồn đang dùng",
    full: "Trạng thái đầy đủ, dạng JSON",
    recorded: "Số liệu mẫu, không phải giá hiện tại",
    foot: "Số liệu thuộc nơi công bố, chỉ để tham khảo.",
    kinds: [
        ("Bảng bên", "vàng, tỷ giá, lãi suất"),
        ("Giá vàng", "theo nhà vàng"),
        ("Tỷ giá", "mua, bán theo ngân hàng"),
        ("Lãi suất", "kỳ hạn và ngân hàng"),
        ("Dòng giá", "một hàng ngang"),
        ("Biểu đồ", "một giá qua các ngày"),
    ],
    themes: ["Theo máy", "Sáng", "Tối"],
    element: "Thẻ <bang-gia>",
    element_for: "tự làm mới",
    iframe_for: "mọi trang, không cần JavaScript",
    include: "Chèn từ máy chủ",
    include_for: "SSI, ESI, PHP",
    picture: "Ảnh",
    picture_for: "thư, RSS, bản in",
    oembed_for: "WordPress: dán địa chỉ vào một dòng",
    amp_for: "trang AMP",
    gold: "vàng",
    fx: "tỷ giá",
    deposits: "lãi suất",
    fresh: "mới",
    stale: "dữ liệu cũ",
    expired: "quá hạn",
    unavailable: "chưa có số liệu",
};

static EN: Texts = Texts {
    page_title: "Bảng Giá: gold, exchange rate and deposit rate widgets for news sites",
    skip: "To the content",
    pages: "Pages",
    widgets: "Widgets",
    sources: "Sources",
    language: "Tiếng Việt",
    title: ("Paste one line,", "and the page has its price board"),
    lead: "Gold prices, exchange rates and deposit rates of Vietnam, read where they are published. Every number says whose it is, in what unit and of when. No cookie, no tracking of readers, no need of JavaScript.",
    choose: "Choose",
    widget: "Widget",
    ground: "Ground",
    transparent: "Transparent",
    width: "Width",
    lang: "Language",
    content: "Content",
    bank: "Rates of",
    rows: "Rows",
    terms: "Terms (months)",
    accent: "Accent",
    as_configured: "as configured",
    show: "Show",
    preview: "Preview",
    fixed: "fixed height, the page does not move",
    one_request: "1 request",
    two_requests: "2 requests",
    code: "Code to embed",
    code_of: "Code:",
    copy: "Copy",
    copied: "Copied",
    policy: "Content-Security-Policy",
    pin: "Pinned version (SRI)",
    strict: "Where the page forbids style attributes: leave it out, and in a style sheet",

    others: "The other widgets",
    in_use: "Sources in use",
    full: "Full state as JSON",
    recorded: "Recorded sample, not current prices",
    foot: "Figures belong to those who publish them and are for reference only.",
    kinds: [
        ("Panel", "gold, rates, deposits"),
        ("Gold", "by house"),
        ("Exchange rates", "buy and sell by bank"),
        ("Deposit rates", "terms by banks"),
        ("Ticker", "one line"),
        ("Chart", "one price over days"),
    ],
    themes: ["As the reader's", "Light", "Dark"],
    element: "Element <bang-gia>",
    element_for: "refreshes itself",
    iframe_for: "any page, no JavaScript",
    include: "Server-side include",
    include_for: "SSI, ESI, PHP",
    picture: "Picture",
    picture_for: "mail, RSS, print",
    oembed_for: "WordPress: paste the address on a line of its own",
    amp_for: "AMP pages",
    gold: "gold",
    fx: "exchange rates",
    deposits: "deposit rates",
    fresh: "fresh",
    stale: "old data",
    expired: "expired",
    unavailable: "no data yet",
};
