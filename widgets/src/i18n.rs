//! Words of the widgets in Vietnamese and English. Every word that a reader can meet is here, and nothing else.

use crate::{
    model::{GoldUnit, Kind},
    options::Lang,
};

/// One language's words.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) recorded_band: &'static str,
    /// Before the moment that figures of the past are of.
    pub(crate) figures_of: &'static str,
    pub(crate) sample_of: &'static str,
    pub(crate) product: &'static str,
    pub(crate) reference_only: &'static str,
    /// Beside every unit: each section says it for itself, because a reader may see only one.
    pub(crate) reference: &'static str,
    /// The same as a line of its own.
    pub(crate) reference_sentence: &'static str,

    pub(crate) gold: &'static str,
    /// Where gold stands alone.
    pub(crate) gold_alone: &'static str,
    /// By weight: lượng, chỉ, gram, kilogram, ounce.
    gold_units: [&'static str; 5],
    pub(crate) fx: &'static str,
    pub(crate) fx_unit: &'static str,
    /// On the tape.
    pub(crate) dong: &'static str,
    pub(crate) deposits: &'static str,
    /// Where deposit rates stand alone.
    pub(crate) deposits_alone: &'static str,
    pub(crate) deposit_unit: &'static str,

    pub(crate) buy: &'static str,
    pub(crate) sell: &'static str,
    pub(crate) currency: &'static str,
    /// In two parts, so that a narrow column can break between them and nowhere else.
    pub(crate) term: (&'static str, &'static str),
    pub(crate) demand: &'static str,
    pub(crate) days: &'static str,
    pub(crate) months: &'static str,
    pub(crate) product_head: &'static str,
    pub(crate) cash: &'static str,
    pub(crate) transfer: &'static str,
    pub(crate) change: &'static str,
    pub(crate) thirty_days: &'static str,
    /// Before a price on the tape.
    pub(crate) buying: &'static str,
    pub(crate) selling: &'static str,
    pub(crate) tape: &'static str,
    pub(crate) stop: &'static str,

    /// What the rule under a rate means, and where its deposits are opened.
    pub(crate) best: &'static str,
    pub(crate) best_mark: &'static str,
    /// The same where the mark is of another colour.
    pub(crate) best_mark_plain: &'static str,
    pub(crate) best_meaning: &'static str,
    pub(crate) not_compared: &'static str,
    pub(crate) not_compared_old: &'static str,
    pub(crate) not_compared_lost: &'static str,
    pub(crate) counter: &'static str,
    pub(crate) online: &'static str,

    /// Of a chart: what it says where there is nothing to draw, and the words of its summary and table.
    pub(crate) chart: ChartWords,

    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    pub(crate) unchanged: &'static str,
    pub(crate) under_review: &'static str,
    pub(crate) not_quoted: &'static str,
    pub(crate) no_figure: &'static str,
    pub(crate) via: &'static str,

    pub(crate) at: &'static str,
    pub(crate) on: &'static str,
    pub(crate) in_force: &'static str,
    pub(crate) read_at: &'static str,
    pub(crate) recorded_at: &'static str,
    pub(crate) stale: &'static str,
    pub(crate) stale_from: &'static str,
    pub(crate) stale_in_force: &'static str,
    pub(crate) expired: &'static str,
    pub(crate) expired_since: &'static str,
    pub(crate) unavailable: &'static str,
    pub(crate) held: &'static str,
}

/// Words of charts alone.
#[derive(Debug)]
pub(crate) struct ChartWords {
    pub(crate) empty: &'static str,
    /// The history cannot be read: nothing of it, its end.
    pub(crate) unread: (&'static str, &'static str),
    pub(crate) ranges: &'static str,
    /// By range: 7, 30, 90 days, a year.
    pub(crate) range: [&'static str; 4],
    pub(crate) figures: &'static str,
    pub(crate) day: &'static str,
    pub(crate) from: &'static str,
    pub(crate) first: &'static str,
    pub(crate) low: &'static str,
    pub(crate) high: &'static str,
    pub(crate) last: &'static str,
    pub(crate) rate: &'static str,
    pub(crate) buying: &'static str,
    pub(crate) selling: &'static str,
    pub(crate) period: (&'static str, &'static str),
    pub(crate) starts: &'static str,
    pub(crate) ends: &'static str,
    pub(crate) highest: &'static str,
    pub(crate) lowest: &'static str,
    pub(crate) dated: &'static str,
    pub(crate) missing: &'static str,
    pub(crate) until: &'static str,
    pub(crate) rate_of: &'static str,
    pub(crate) at_counter: &'static str,
    pub(crate) online: &'static str,
    pub(crate) small_notes: &'static str,
}

static VI: Words = Words {
    recorded_band: "Số liệu mẫu, không phải giá hiện tại",
    figures_of: "Số liệu lúc ",
    sample_of: "Số liệu mẫu lúc ",
    product: "Bảng Giá",
    reference_only: "Chỉ để tham khảo",
    reference: "giá tham khảo",
    reference_sentence: "Giá tham khảo",

    gold: "Giá vàng 9999",
    gold_alone: "Giá vàng",
    gold_units: ["tr.đ/lượng", "nghìn đ/chỉ", "nghìn đ/gram", "tr.đ/kg", "tr.đ/ounce"],
    fx: "Tỷ giá",
    fx_unit: "ĐVT: đồng",
    dong: "đồng",
    deposits: "Lãi suất",
    deposits_alone: "Lãi suất tiền gửi",
    deposit_unit: "%/năm",

    buy: "Mua",
    sell: "Bán",
    currency: "Loại",
    term: ("Kỳ hạn", "(tháng)"),
    demand: "Không kỳ hạn",
    days: "ngày",
    months: "tháng",
    product_head: "Sản phẩm",
    cash: "tiền mặt",
    transfer: "chuyển khoản",
    change: "Thay đổi",
    thirty_days: "30 ngày",
    buying: "mua",
    selling: "bán",
    tape: "Dòng giá",
    stop: "Dừng chạy chữ",

    best: "cao nhất",
    best_mark: "Gạch vàng",
    best_mark_plain: "Gạch chân",
    best_meaning: ": cao nhất mỗi kỳ hạn.",
    not_compared: "Chưa so sánh: số liệu ",
    not_compared_old: " cũ.",
    not_compared_lost: " thiếu.",
    counter: " Gửi tại quầy.",
    online: " Gửi trực tuyến.",

    chart: ChartWords {
        empty: "Chưa có lịch sử để vẽ.",
        unread: ("Hiện chưa đọc được lịch sử.", "Hiện chưa đọc được đoạn mới nhất."),
        ranges: "Khoảng thời gian",
        range: ["7 ngày", "30 ngày", "90 ngày", "1 năm"],
        figures: "Số liệu",
        day: "Ngày",
        from: "Từ ngày",
        first: "Đầu",
        low: "Thấp",
        high: "Cao",
        last: "Cuối",
        rate: "Lãi suất",
        buying: "Giá mua",
        selling: "Giá bán",
        period: ("Từ ", " đến "),
        starts: "đầu kỳ ",
        ends: "cuối kỳ ",
        highest: "cao nhất ",
        lowest: "thấp nhất ",
        dated: " ngày ",
        missing: "Không có số liệu: ",
        until: " đến ",
        rate_of: "Gửi ",
        at_counter: "tại quầy",
        online: "trực tuyến",
        small_notes: "tờ nhỏ",
    },

    up: "tăng",
    down: "giảm",
    unchanged: "không đổi",
    under_review: "chờ kiểm tra",
    not_quoted: "không niêm yết",
    no_figure: "không có số liệu",
    via: "qua",

    at: "lúc ",
    on: "ngày ",
    in_force: "áp dụng từ ",
    read_at: "đọc lúc ",
    recorded_at: "mẫu ghi lúc ",
    stale: "Dữ liệu cũ",
    stale_from: ", từ ",
    stale_in_force: ", áp dụng từ ",
    expired: "Quá hạn",
    expired_since: " – mất nguồn từ ",
    unavailable: "Chưa có số liệu",
    held: "Giá mới chờ kiểm tra",
};

static EN: Words = Words {
    recorded_band: "Recorded sample, not current prices",
    figures_of: "As of ",
    sample_of: "Recorded sample, as of ",
    product: "Bảng Giá",
    reference_only: "For reference only",
    reference: "reference only",
    reference_sentence: "For reference only",

    gold: "Gold 9999",
    gold_alone: "Gold",
    gold_units: [
        "VND million/lượng",
        "VND thousand/chỉ",
        "VND thousand/gram",
        "VND million/kg",
        "VND million/oz",
    ],
    fx: "Exchange rates",
    fx_unit: "VND",
    dong: "VND",
    deposits: "Deposit rates",
    deposits_alone: "Deposit rates",
    deposit_unit: "% a year",

    buy: "Buy",
    sell: "Sell",
    currency: "Currency",
    term: ("Term", "(months)"),
    demand: "Demand",
    days: "days",
    months: "months",
    product_head: "Product",
    cash: "cash",
    transfer: "transfer",
    change: "Change",
    thirty_days: "30 days",
    buying: "buy",
    selling: "sell",
    tape: "Prices",
    stop: "Stop the moving tape",

    best: "highest",
    best_mark: "Gold rule",
    best_mark_plain: "Underlined",
    best_meaning: ": highest for the term.",
    not_compared: "Not compared: ",
    not_compared_old: " is old.",
    not_compared_lost: " is missing.",
    counter: " At the counter.",
    online: " Online.",

    chart: ChartWords {
        empty: "No history to draw yet.",
        unread: (
            "The history cannot be read at the moment.",
            "Its newest part cannot be read at the moment.",
        ),
        ranges: "Period",
        range: ["7 days", "30 days", "90 days", "1 year"],
        figures: "Figures",
        day: "Day",
        from: "From",
        first: "First",
        low: "Low",
        high: "High",
        last: "Last",
        rate: "Rate",
        buying: "Buying price",
        selling: "Selling price",
        period: ("From ", " to "),
        starts: "first ",
        ends: "last ",
        highest: "highest ",
        lowest: "lowest ",
        dated: " on ",
        missing: "No figures: ",
        until: " to ",
        rate_of: "Deposit, ",
        at_counter: "counter",
        online: "online",
        small_notes: "small notes",
    },

    up: "up",
    down: "down",
    unchanged: "unchanged",
    under_review: "under review",
    not_quoted: "not quoted",
    no_figure: "no data",
    via: "via",

    at: "",
    on: "",
    in_force: "in force since ",
    read_at: "read ",
    recorded_at: "recorded ",
    stale: "Old data",
    stale_from: ", from ",
    stale_in_force: ", in force since ",
    expired: "Expired",
    expired_since: " – source lost since ",
    unavailable: "No data yet",
    held: "New value under review",
};

/// The words of a language.
pub(crate) fn words(lang: Lang) -> &'static Words {
    match lang {
        Lang::Vi => &VI,
        Lang::En => &EN,
    }
}

impl Words {
    /// Money and weight of gold, spelt out.
    pub(crate) const fn gold_unit(&self, unit: GoldUnit) -> &'static str {
        let [luong, chi, gram, kilogram, ounce] = self.gold_units;
        match unit {
            GoldUnit::Luong => luong,
            GoldUnit::Chi => chi,
            GoldUnit::Gram => gram,
            GoldUnit::Kilogram => kilogram,
            GoldUnit::Ounce => ounce,
        }
    }
}

/// What a widget is about: heading of its page, words of its fallback link.
#[must_use]
pub fn heading(kind: Kind, lang: Lang) -> &'static str {
    match (kind, lang) {
        (Kind::Panel, Lang::Vi) => "Giá vàng, tỷ giá, lãi suất",
        (Kind::Panel, Lang::En) => "Gold, exchange rates, deposit rates",
        (Kind::Gold, Lang::Vi) => "Giá vàng",
        (Kind::Gold, Lang::En) => "Gold prices",
        (Kind::Fx, Lang::Vi) => "Tỷ giá ngoại tệ",
        (Kind::Fx, Lang::En) => "Exchange rates",
        (Kind::Deposits, Lang::Vi) => "Lãi suất tiền gửi",
        (Kind::Deposits, Lang::En) => "Deposit rates",
        (Kind::Ticker, Lang::Vi) => "Giá vàng, tỷ giá, lãi suất trong một dòng",
        (Kind::Chart, Lang::Vi) => "Biểu đồ giá",
        (Kind::Chart, Lang::En) => "Price chart",
        (Kind::Ticker, Lang::En) => "Gold, exchange rates, deposit rates in one line",
    }
}

/// A gold product's name by this project's id. Short enough for one line of a 300 pixel column.
#[must_use]
pub fn product(id: &str, lang: Lang) -> String {
    let (plain, wholesale) = id.strip_suffix("-wholesale").map_or((id, false), |plain| (plain, true));
    let name = match (plain, lang) {
        ("sjc-bar", Lang::Vi) => "Vàng miếng SJC",
        ("sjc-bar", Lang::En) => "SJC bar",
        ("bar", Lang::Vi) => "Vàng miếng",
        ("bar", Lang::En) => "Bar",
        ("avpl-bar", Lang::Vi) => "Vàng miếng AVPL",
        ("avpl-bar", Lang::En) => "AVPL bar",
        ("ring-9999", Lang::Vi) => "Nhẫn tròn 9999",
        ("ring-9999", Lang::En) => "9999 ring",
        (other, lang) => {
            let (form, fineness) = other.split_once('-').unwrap_or((other, ""));
            let form = match (form, lang) {
                ("raw", Lang::Vi) => "Nguyên liệu",
                ("raw", Lang::En) => "Raw gold",
                ("jewelry", Lang::Vi) => "Nữ trang",
                ("jewelry", Lang::En) => "Jewellery",
                (form, _) => form,
            };
            return with_wholesale(
                format!("{form} {}", fineness.to_uppercase()).trim().to_owned(),
                wholesale,
                lang,
            );
        }
    };
    with_wholesale(name.to_owned(), wholesale, lang)
}

fn with_wholesale(name: String, wholesale: bool, lang: Lang) -> String {
    match (wholesale, lang) {
        (false, _) => name,
        (true, Lang::Vi) => name + " buôn",
        (true, Lang::En) => name + " wholesale",
    }
}

/// The same where there is one line for all.
pub(crate) fn product_on_tape(id: &str, lang: Lang) -> String {
    match (id, lang) {
        ("sjc-bar", Lang::Vi) => "Vàng SJC".to_owned(),
        ("sjc-bar", Lang::En) => "SJC gold".to_owned(),
        ("bar", Lang::En) => "Gold bar".to_owned(),
        _ => product(id, lang),
    }
}

/// A place's name by this project's id.
pub(crate) fn place(id: &str, lang: Lang) -> &'static str {
    match (id, lang) {
        ("hanoi", Lang::Vi) => "Hà Nội",
        ("hanoi", Lang::En) => "Hanoi",
        ("hcm", Lang::Vi) => "TP.HCM",
        ("hcm", Lang::En) => "Ho Chi Minh City",
        _ => "",
    }
}

/// What a currency is called.
pub(crate) fn currency(code: &str, lang: Lang) -> Option<&'static str> {
    const NAMES: &[(&str, &str, &str)] = &[
        ("AUD", "Đô la Úc", "Australian dollar"),
        ("CAD", "Đô la Canada", "Canadian dollar"),
        ("CHF", "Franc Thụy Sĩ", "Swiss franc"),
        ("CNY", "Nhân dân tệ", "Chinese yuan"),
        ("DKK", "Krone Đan Mạch", "Danish krone"),
        ("EUR", "Euro", "Euro"),
        ("GBP", "Bảng Anh", "Pound sterling"),
        ("HKD", "Đô la Hồng Kông", "Hong Kong dollar"),
        ("IDR", "Rupiah Indonesia", "Indonesian rupiah"),
        ("INR", "Rupee Ấn Độ", "Indian rupee"),
        ("JPY", "Yên Nhật", "Japanese yen"),
        ("KHR", "Riel Campuchia", "Cambodian riel"),
        ("KRW", "Won Hàn Quốc", "Korean won"),
        ("KWD", "Dinar Kuwait", "Kuwaiti dinar"),
        ("LAK", "Kip Lào", "Lao kip"),
        ("MYR", "Ringgit Malaysia", "Malaysian ringgit"),
        ("NOK", "Krone Na Uy", "Norwegian krone"),
        ("NZD", "Đô la New Zealand", "New Zealand dollar"),
        ("PHP", "Peso Philippines", "Philippine peso"),
        ("RUB", "Rúp Nga", "Russian rouble"),
        ("SAR", "Riyal Ả Rập Xê Út", "Saudi riyal"),
        ("SEK", "Krona Thụy Điển", "Swedish krona"),
        ("SGD", "Đô la Singapore", "Singapore dollar"),
        ("THB", "Baht Thái", "Thai baht"),
        ("TWD", "Đô la Đài Loan", "Taiwan dollar"),
        ("USD", "Đô la Mỹ", "US dollar"),
    ];
    let (_, vi, en) = NAMES.iter().find(|(known, ..)| *known == code)?;
    Some(match lang {
        Lang::Vi => vi,
        Lang::En => en,
    })
}
