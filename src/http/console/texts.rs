//! Words of the console in both languages. Sentences of the service itself (reasons, refusals) are in English and come
//! from where they are made.

use widgets::Lang;

use crate::{board::Status, config::Origin, document::shapes::SourceStanding};

pub(super) struct Texts {
    pub(super) skip: &'static str,
    pub(super) console: &'static str,
    pub(super) parts: &'static str,
    pub(super) language: &'static str,
    pub(super) leave: &'static str,
    pub(super) recorded: &'static str,
    pub(super) recorded_short: &'static str,
    pub(super) live: &'static str,
    pub(super) foot: &'static str,

    pub(super) enter: &'static str,
    pub(super) enter_lead: &'static str,
    pub(super) token: &'static str,
    pub(super) token_hint: &'static str,
    pub(super) user: &'static str,
    pub(super) no_token: &'static str,
    pub(super) wrong_token: &'static str,

    pub(super) refused: &'static str,
    pub(super) all_well: &'static str,
    pub(super) time_zone: &'static str,
    pub(super) config: &'static str,
    pub(super) config_read: &'static str,
    pub(super) config_none: &'static str,
    pub(super) config_kept: &'static str,
    pub(super) config_refused: &'static str,
    pub(super) config_goes_on: &'static str,
    pub(super) read_again: &'static str,
    pub(super) show_again: &'static str,

    pub(super) held: &'static str,
    pub(super) side: &'static str,
    pub(super) serving: &'static str,
    pub(super) candidate: &'static str,
    pub(super) difference: &'static str,
    pub(super) points: &'static str,
    pub(super) not_quoted: &'static str,
    pub(super) by_source: &'static str,
    pub(super) since: &'static str,
    pub(super) reads: &'static str,
    pub(super) only_you: &'static str,
    pub(super) by_itself: &'static str,
    pub(super) accept: &'static str,
    pub(super) reject: &'static str,
    pub(super) rejected: &'static str,

    pub(super) feeds: &'static str,
    pub(super) paused: &'static str,
    pub(super) holds: &'static str,
    pub(super) reason: &'static str,
    pub(super) source: &'static str,
    pub(super) via: &'static str,
    pub(super) no_source: &'static str,
    pub(super) as_of: &'static str,
    pub(super) as_of_nothing: &'static str,
    pub(super) checked: &'static str,
    pub(super) never: &'static str,
    pub(super) fresh_until: &'static str,
    pub(super) missed: &'static str,
    pub(super) missed_publishes: &'static str,
    pub(super) sources_of: &'static str,
    pub(super) at: &'static str,
    pub(super) next_of: &'static str,
    pub(super) asked_next: &'static str,
    pub(super) no_run: &'static str,
    pub(super) ask: &'static str,
    pub(super) pause: &'static str,
    pub(super) pause_for_good: &'static str,
    pub(super) resume: &'static str,
    pub(super) change: &'static str,
    pub(super) new_schedule: &'static str,
    pub(super) hint: &'static str,
    pub(super) how_long: &'static str,
    pub(super) for_now: &'static str,
    pub(super) for_good: &'static str,
    pub(super) no_place: &'static str,
    pub(super) preview: &'static str,
    pub(super) apply: &'static str,
    pub(super) reset: &'static str,
    pub(super) if_applied: &'static str,
    pub(super) go_to: &'static str,
    pub(super) go_to_field: &'static str,

    pub(super) audit: &'static str,
    pub(super) audit_caption: &'static str,
    pub(super) audit_none: &'static str,
    pub(super) act: &'static str,
    pub(super) result: &'static str,
    pub(super) done: &'static str,
    pub(super) was: &'static str,
    pub(super) becomes: &'static str,
    pub(super) wanted: &'static str,
}

pub(super) const fn texts(lang: Lang) -> &'static Texts {
    match lang {
        Lang::Vi => &VI,
        Lang::En => &EN,
    }
}

static VI: Texts = Texts {
    skip: "Tới nội dung",
    console: "Điều hành",
    parts: "Phần",
    language: "English",
    leave: "Thoát",
    recorded: "Số liệu mẫu, không phải giá hiện tại",
    recorded_short: "số liệu mẫu",
    live: "số liệu thật",
    foot: "Trang này không dùng cookie và không cần JavaScript; đóng trang là thoát.",

    enter: "Mở trang điều hành",
    enter_lead: "Ai có mã đều đổi được lịch và quyết định giá đang giữ.",
    token: "Mã điều hành",
    token_hint: "secrets.admin_token trong cấu hình",
    user: "Người dùng",
    no_token: "Hãy nhập mã.",
    wrong_token: "Mã không đúng.",

    refused: "Không thực hiện được",
    all_well: "Mọi nguồn đều ổn",
    time_zone: "Lịch chạy theo giờ Việt Nam, lúc này",
    config: "Cấu hình",
    config_read: "đọc lúc",
    config_none: "không có tệp, chỉ có mặc định và biến môi trường",
    config_kept: "thay đổi lâu dài ở trang này nằm trong",
    config_refused: "Cấu hình mới bị từ chối",
    config_goes_on: "Cấu hình cũ vẫn chạy nguyên vẹn.",
    read_again: "Đọc lại cấu hình",
    show_again: "Xem lại",

    held: "Giá đang giữ",
    side: "Chiều",
    serving: "Đang hiện",
    candidate: "Giá mới",
    difference: "Chênh",
    points: "điểm",
    not_quoted: "không niêm yết",
    by_source: "Nguồn",
    since: "từ",
    reads: "số lần đọc được như nhau",
    only_you: "Giống một lỗi đã biết: chỉ người điều hành mới cho qua được.",
    by_itself: "Tự qua khi đọc lại đủ lần vẫn như thế, hoặc khi nơi khác cũng đổi.",
    accept: "Nhận giá mới",
    reject: "Bỏ giá mới",
    rejected: "Đã bỏ, nguồn vẫn báo",

    feeds: "Nguồn và lịch",
    paused: "Đang dừng",
    holds: "đang giữ",
    reason: "Lý do",
    source: "Nguồn",
    via: "qua",
    no_source: "chưa đọc được",
    as_of: "Theo nguồn",
    as_of_nothing: "không ghi giờ",
    checked: "Đọc được",
    never: "chưa bao giờ",
    fresh_until: "Còn mới tới",
    missed: "Lỡ",
    missed_publishes: "bảng không ra",
    sources_of: "Các nguồn của",
    at: "Lúc",
    next_of: "Năm lần chạy tới của",
    asked_next: "Hỏi kế tiếp, ngoài lịch:",
    no_run: "Không chạy cho tới khi chạy tiếp.",
    ask: "Đọc ngay",
    pause: "Tạm dừng",
    pause_for_good: "Dừng hẳn",
    resume: "Chạy tiếp",
    change: "Sửa lịch",
    new_schedule: "Lịch mới của",
    hint: "Năm trường: phút giờ ngày tháng thứ; hoặc sáu, giây đứng đầu. Ví dụ",
    how_long: "Giữ bao lâu",
    for_now: "Tới lần khởi động lại",
    for_good: "Lâu dài",
    no_place: "không có tệp để ghi",
    preview: "Xem năm lần tới",
    apply: "Áp dụng",
    reset: "Về lịch trong cấu hình",
    if_applied: "Nếu áp dụng:",
    go_to: "Tới",
    go_to_field: "Sửa lại",

    audit: "Nhật ký",
    audit_caption: "50 việc gần nhất, mới nhất ở trên",
    audit_none: "Chưa có việc nào.",
    act: "Việc",
    result: "Kết quả",
    done: "xong",
    was: "trước",
    becomes: "thành",
    wanted: "muốn",
};

static EN: Texts = Texts {
    skip: "To the content",
    console: "Console",
    parts: "Parts",
    language: "Tiếng Việt",
    leave: "Leave",
    recorded: "Recorded sample, not current prices",
    recorded_short: "recorded sample",
    live: "live",
    foot: "This page uses no cookie and needs no JavaScript; closing it is leaving.",

    enter: "Open the console",
    enter_lead: "Whoever has the token can change schedules and decide on held values.",
    token: "Operator's token",
    token_hint: "secrets.admin_token of the configuration",
    user: "User",
    no_token: "Enter the token.",
    wrong_token: "This is not the token.",

    refused: "Not done",
    all_well: "All feeds are well",
    time_zone: "Schedules run by Vietnamese time, which is now",
    config: "Configuration",
    config_read: "read",
    config_none: "no file, only defaults and the environment",
    config_kept: "changes for good on this page are kept in",
    config_refused: "The new configuration was refused",
    config_goes_on: "The old one stays in force as a whole.",
    read_again: "Read the configuration again",
    show_again: "Show again",

    held: "Held values",
    side: "Side",
    serving: "Served",
    candidate: "New value",
    difference: "Difference",
    points: "points",
    not_quoted: "not quoted",
    by_source: "Source",
    since: "since",
    reads: "times read alike",
    only_you: "It looks like a slip that is known: only the operator can release it.",
    by_itself: "It is released when it was read often enough, or when others move the same way.",
    accept: "Accept the new value",
    reject: "Reject the new value",
    rejected: "Rejected, and still sent by the source",

    feeds: "Feeds and schedules",
    paused: "Paused",
    holds: "held",
    reason: "Reason",
    source: "Source",
    via: "via",
    no_source: "none was read",
    as_of: "Says the source",
    as_of_nothing: "states no time",
    checked: "Checked",
    never: "never",
    fresh_until: "Fresh until",
    missed: "Missed",
    missed_publishes: "boards that did not come",
    sources_of: "Sources of",
    at: "At",
    next_of: "Next five runs of",
    asked_next: "Asked next, outside its schedule:",
    no_run: "Does not run until it is resumed.",
    ask: "Ask now",
    pause: "Pause for now",
    pause_for_good: "Pause for good",
    resume: "Resume",
    change: "Change the schedule",
    new_schedule: "New schedule of",
    hint: "Five fields: minute hour day month weekday; or six, second first. For example",
    how_long: "For how long",
    for_now: "Until the next restart",
    for_good: "For good",
    no_place: "there is no file to write to",
    preview: "Show the next five runs",
    apply: "Apply",
    reset: "Back to the configuration's",
    if_applied: "If applied:",
    go_to: "Go to",
    go_to_field: "Correct",

    audit: "Audit log",
    audit_caption: "The last 50 acts, newest first",
    audit_none: "Nothing was done yet.",
    act: "Act",
    result: "Result",
    done: "done",
    was: "before",
    becomes: "becomes",
    wanted: "wanted",
};

/// Too many wrong tokens.
pub(super) fn wait(lang: Lang, seconds: &str) -> String {
    match lang {
        Lang::Vi => format!("Sai mã quá nhiều lần. Thử lại sau {seconds} giây."),
        Lang::En => format!("Too many wrong tokens. Try again in {seconds} s."),
    }
}

pub(super) const fn status(lang: Lang, status: Status) -> &'static str {
    match (lang, status) {
        (Lang::Vi, Status::Fresh) => "Mới",
        (Lang::Vi, Status::Stale) => "Dữ liệu cũ",
        (Lang::Vi, Status::Expired) => "Quá hạn",
        (Lang::Vi, Status::Unavailable) => "Chưa có số liệu",
        (Lang::En, Status::Fresh) => "Fresh",
        (Lang::En, Status::Stale) => "Stale",
        (Lang::En, Status::Expired) => "Expired",
        (Lang::En, Status::Unavailable) => "Unavailable",
    }
}

/// So many feeds of a status, where it is said before that they are feeds.
pub(super) fn count(lang: Lang, many: usize, what: Status) -> String {
    let word = match (lang, what) {
        (Lang::Vi, Status::Fresh) => "mới",
        (Lang::Vi, Status::Stale) => "cũ",
        (Lang::Vi, Status::Expired) => "quá hạn",
        (Lang::Vi, Status::Unavailable) => "chưa có số liệu",
        (Lang::En, _) => what.as_str(),
    };
    format!("{many} {word}")
}

/// So many feeds, where nobody has said so before: what [`count`] and [`paused`] say.
pub(super) fn of_feeds(lang: Lang, count: &str) -> String {
    match (lang, count.split_once(' ')) {
        (Lang::Vi, Some((many, word))) => format!("{many} nguồn {word}"),
        _ => count.to_owned(),
    }
}

pub(super) fn held(lang: Lang, many: usize) -> String {
    match lang {
        Lang::Vi => format!("{many} giá đang giữ"),
        Lang::En => format!("{many} held"),
    }
}

pub(super) fn paused(lang: Lang, many: usize) -> String {
    match lang {
        Lang::Vi => format!("{many} đang dừng"),
        Lang::En => format!("{many} paused"),
    }
}

pub(super) fn feeds(lang: Lang, many: usize) -> String {
    match lang {
        Lang::Vi => format!("{many} nguồn"),
        Lang::En => format!("{many} feeds"),
    }
}

pub(super) fn runs(lang: Lang, many: u32) -> String {
    match (lang, many) {
        (Lang::Vi, _) => format!("{many} lần chạy"),
        (Lang::En, 1) => "1 run".to_owned(),
        (Lang::En, _) => format!("{many} runs"),
    }
}

pub(super) const fn standing(lang: Lang, standing: SourceStanding) -> &'static str {
    match (lang, standing) {
        (Lang::Vi, SourceStanding::Used) => "đang dùng",
        (Lang::Vi, SourceStanding::Standby) => "dự phòng",
        (Lang::Vi, SourceStanding::Skipped) => "bỏ qua",
        (Lang::Vi, SourceStanding::Failing) => "đang hỏng",
        (Lang::Vi, SourceStanding::Off) => "đã tắt",
        (Lang::En, SourceStanding::Used) => "used",
        (Lang::En, SourceStanding::Standby) => "standby",
        (Lang::En, SourceStanding::Skipped) => "skipped",
        (Lang::En, SourceStanding::Failing) => "failing",
        (Lang::En, SourceStanding::Off) => "off",
    }
}

/// Where a value is set.
pub(super) fn origin(lang: Lang, origin: &Origin) -> String {
    match (lang, origin) {
        (Lang::Vi, Origin::Default) => "theo mặc định".to_owned(),
        (Lang::Vi, Origin::File(path, line)) => format!("đặt ở {}:{line}", path.display()),
        (Lang::Vi, Origin::Console(None)) => "đặt ở trang này, tới lần khởi động lại".to_owned(),
        (Lang::Vi, Origin::Console(Some((path, line)))) => {
            format!("đặt ở trang này, lâu dài ({}:{line})", path.display())
        }
        (Lang::Vi, Origin::Environment(name)) => format!("đặt bằng biến môi trường {name}"),
        (Lang::Vi, Origin::CommandLine(option)) => format!("đặt bằng dòng lệnh, {option}"),
        (Lang::En, Origin::Default) => "by default".to_owned(),
        (Lang::En, Origin::File(path, line)) => format!("set in {}:{line}", path.display()),
        (Lang::En, Origin::Console(None)) => "set on this page, until the next restart".to_owned(),
        (Lang::En, Origin::Console(Some((path, line)))) => {
            format!("set on this page, for good ({}:{line})", path.display())
        }
        (Lang::En, Origin::Environment(name)) => format!("set by the environment, {name}"),
        (Lang::En, Origin::CommandLine(option)) => format!("set by the command line, {option}"),
    }
}

/// A side of a price.
pub(super) fn side(lang: Lang, side: &'static str) -> &'static str {
    match (lang, side) {
        (Lang::Vi, "buy") => "Mua",
        (Lang::Vi, "sell") => "Bán",
        (Lang::Vi, "buy_cash") => "Mua tiền mặt",
        (Lang::Vi, "buy_transfer") => "Mua chuyển khoản",
        (Lang::Vi, "sell_cash") => "Bán tiền mặt",
        (Lang::Vi, "rate_percent") => "Lãi suất",
        (Lang::En, "buy") => "Buy",
        (Lang::En, "sell") => "Sell",
        (Lang::En, "buy_cash") => "Buy, cash",
        (Lang::En, "buy_transfer") => "Buy, transfer",
        (Lang::En, "sell_cash") => "Sell, cash",
        (Lang::En, "rate_percent") => "Rate",
        _ => side,
    }
}

/// An act, as the audit log and the forms name it.
pub(super) fn action(lang: Lang, action: &str) -> &str {
    match (lang, action) {
        (Lang::Vi, "reload") => "Đọc lại cấu hình",
        (Lang::Vi, "schedule" | "preview" | "reset") => "Đổi lịch",
        (Lang::Vi, "pause" | "pause-for-good") => "Dừng",
        (Lang::Vi, "resume") => "Chạy tiếp",
        (Lang::Vi, "refresh") => "Đọc ngay",
        (Lang::Vi, "accept") => "Nhận giá",
        (Lang::Vi, "reject") => "Bỏ giá",
        (Lang::En, "reload") => "Configuration read again",
        (Lang::En, "schedule" | "preview" | "reset") => "Schedule",
        (Lang::En, "pause" | "pause-for-good") => "Pause",
        (Lang::En, "resume") => "Resume",
        (Lang::En, "refresh") => "Ask now",
        (Lang::En, "accept") => "Accept",
        (Lang::En, "reject") => "Reject",
        _ => action,
    }
}

/// The way in of an act.
pub(super) fn via(lang: Lang, via: &str) -> &str {
    match (lang, via) {
        (Lang::Vi, "console") => "trang này",
        (Lang::Vi, "signal") => "tín hiệu",
        (Lang::Vi, "file") => "tệp",
        (Lang::En, "console") => "this page",
        (_, "api") => "API",
        (Lang::En, "signal") => "signal",
        (Lang::En, "file") => "file",
        _ => via,
    }
}

/// What was done, in one sentence.
pub(super) enum Told<'a> {
    Read(usize),
    Scheduled { feed: &'a str, schedule: &'a str, for_good: bool },
    Reset { feed: &'a str, schedule: &'a str },
    Paused { feed: &'a str, for_good: bool },
    Resumed { feed: &'a str },
    Asked { feed: &'a str },
    AskedInVain { feed: &'a str },
    Asking { feed: &'a str },
    Accepted { quote: &'a str },
    Rejected { quote: &'a str },
    Previewed { feed: &'a str, schedule: &'a str },
}

pub(super) fn told(lang: Lang, told: &Told<'_>) -> String {
    match (lang, told) {
        (Lang::Vi, Told::Read(0)) => "Đã đọc lại cấu hình: không có gì đổi.".to_owned(),
        (Lang::Vi, Told::Read(many)) => format!("Đã đọc lại cấu hình, {many} thay đổi:"),
        (Lang::Vi, Told::Scheduled { feed, schedule, for_good }) => {
            let long = if *for_good { "lâu dài" } else { "tới lần khởi động lại" };
            format!("{feed} nay chạy theo lịch {schedule}, {long}.")
        }
        (Lang::Vi, Told::Reset { feed, schedule }) => format!("{feed} về lịch trong cấu hình, {schedule}."),
        (Lang::Vi, Told::Paused { feed, for_good: false }) => {
            format!("{feed} đang dừng, tới khi chạy tiếp hoặc khởi động lại.")
        }
        (Lang::Vi, Told::Paused { feed, for_good: true }) => {
            format!("{feed} đang dừng, cả sau khi khởi động lại, tới khi chạy tiếp.")
        }
        (Lang::Vi, Told::Resumed { feed }) => format!("{feed} chạy tiếp."),
        (Lang::Vi, Told::Asked { feed }) => format!("Đã đọc {feed}: có bảng giá."),
        (Lang::Vi, Told::AskedInVain { feed }) => format!("Đã đọc {feed}: không nguồn nào cho bảng giá."),
        (Lang::Vi, Told::Asking { feed }) => format!("Đang đọc {feed}, chưa xong; bấm Xem lại."),
        (Lang::Vi, Told::Accepted { quote }) => format!("Đã nhận giá mới của {quote}."),
        (Lang::Vi, Told::Rejected { quote }) => format!("Đã bỏ giá mới của {quote}."),
        (Lang::Vi, Told::Previewed { feed, schedule }) => {
            format!("Nếu {feed} chạy theo lịch {schedule}, năm lần tới là:")
        }
        (Lang::En, Told::Read(0)) => "The configuration was read again: nothing changed.".to_owned(),
        (Lang::En, Told::Read(1)) => "The configuration was read again, 1 change:".to_owned(),
        (Lang::En, Told::Read(many)) => format!("The configuration was read again, {many} changes:"),
        (Lang::En, Told::Scheduled { feed, schedule, for_good }) => {
            let long = if *for_good { "for good" } else { "until the next restart" };
            format!("{feed} runs by {schedule} now, {long}.")
        }
        (Lang::En, Told::Reset { feed, schedule }) => {
            format!("{feed} is back to the configuration's schedule, {schedule}.")
        }
        (Lang::En, Told::Paused { feed, for_good: false }) => {
            format!("{feed} is paused, until it is resumed or the service starts again.")
        }
        (Lang::En, Told::Paused { feed, for_good: true }) => {
            format!("{feed} is paused, also after a restart, until it is resumed.")
        }
        (Lang::En, Told::Resumed { feed }) => format!("{feed} runs again."),
        (Lang::En, Told::Asked { feed }) => format!("{feed} was asked: there is a board."),
        (Lang::En, Told::AskedInVain { feed }) => format!("{feed} was asked: no source gave a board."),
        (Lang::En, Told::Asking { feed }) => format!("{feed} is still being asked; show again."),
        (Lang::En, Told::Accepted { quote }) => format!("The new value of {quote} was accepted."),
        (Lang::En, Told::Rejected { quote }) => format!("The new value of {quote} was rejected."),
        (Lang::En, Told::Previewed { feed, schedule }) => {
            format!("If {feed} ran by {schedule}, the next five runs would be:")
        }
    }
}
