/* A command line of four ways as one: see cmdline.h. */
#include "base/small.h"

#include "platform/virtio/cmdline.h"

#include "base/fmt.h"

/* A word, and what it is known by. */
struct word {
    struct bytes text;  /* all of it */
    struct bytes value; /* behind the first '=' */
    bool has_value;
};

/* The address as three words that may come one by one. */
struct reading {
    struct cmdline *cmdline;
    struct writer *args, *why;
    struct bytes address, gateway, mask; /* of Unikraft's older words */
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool begins(struct bytes b, struct bytes with)
{
    return bytes_equal(bytes_first(b, with.len), with) && b.len >= with.len;
}

static bool contains(struct bytes b, uint8_t c)
{
    return b.len > 0 && memchr(b.at, c, b.len) != NULL;
}

/* What precedes the first `c`, which is taken, too; else all. */
static struct bytes part_before(struct bytes *rest, uint8_t c)
{
    size_t n = 0;

    while (n < rest->len && rest->at[n] != c)
        n++;
    struct bytes part = bytes_first(*rest, n);
    *rest = bytes_after(*rest, n < rest->len ? n + 1 : n);
    return part;
}

/*
 * The next word: to a blank that is not in quotes, nor in brackets that began
 * with the value, as Unikraft writes lists.
 */
static bool next_word(struct bytes *rest, struct word *word)
{
    uint8_t quote = 0;
    bool list = false;
    size_t n = 0, equals = SIZE_MAX;

    while (rest->len > 0 && is_blank(rest->at[0]))
        *rest = bytes_after(*rest, 1);
    if (rest->len == 0)
        return false;
    for (; n < rest->len; n++) {
        uint8_t c = rest->at[n];
        /* Most are letters and digits. */
        if (quote == 0 && (c > ']' || (c > '\'' && c < '=')))
            continue;
        if (quote != 0) {
            if (c == '\\' && quote == '"' && n + 1 < rest->len)
                n++;
            else if (c == quote)
                quote = 0;
        } else if (c == '\'' || c == '"') {
            quote = c;
        } else if (c == '\\' && n + 1 < rest->len) {
            n++;
        } else if (c == '[' && n == equals + 1) {
            list = rest->at[0] != '-';
        } else if (c == ']') {
            list = false;
        } else if (is_blank(c) && !list) {
            break;
        } else if (c == '=' && equals == SIZE_MAX) {
            equals = n;
        }
    }
    word->text = bytes_first(*rest, n);
    word->has_value = equals != SIZE_MAX;
    word->value = word->has_value ? bytes_after(word->text, equals + 1)
                                  : (struct bytes){0};
    *rest = bytes_after(*rest, n);
    return true;
}

/* Whether it is KEY=..., with this key. */
static bool is_key(const struct word *word, struct bytes key)
{
    return word->has_value && word->text.len - word->value.len == key.len + 1 &&
           begins(word->text, key);
}

#define IS_KEY(word, key) is_key(word, TEXT(key))

static bool wrong(struct reading *r, struct bytes word, const char *how)
{
    fmt_put(r->why, "`%.*s' on the command line makes no sense: %s",
            (int)word.len, (const char *)word.at, how);
    return false;
}

static void put_argument(struct reading *r, struct bytes text)
{
    if (r->args->len > 0)
        put_u8(r->args, ' ');
    put_bytes(r->args, text);
}

/* --- Numbers --- */

/* A number in C's notation at the front of `rest`, which is taken. */
static bool take_number(struct bytes *rest, uint64_t *value)
{
    unsigned base = 10;
    size_t n = 0;

    *value = 0;
    if (begins(*rest, TEXT("0x")) || begins(*rest, TEXT("0X"))) {
        base = 16;
        *rest = bytes_after(*rest, 2);
    }
    for (; n < rest->len; n++) {
        uint8_t c = rest->at[n];
        unsigned digit = c >= '0' && c <= '9' ? c - '0' : UINT8_MAX;
        if (base == 16 && (c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (c | 0x20U) - 'a' + 10;
        if (digit >= base)
            break;
        if (*value > (UINT64_MAX >> 5))
            return false;
        *value = *value * base + digit;
    }
    *rest = bytes_after(*rest, n);
    return n > 0;
}

static bool parse_ipv4(struct bytes text, uint32_t *address)
{
    *address = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t part;
        if (i < 3 && !contains(text, '.'))
            return false;
        if (!fmt_parse_u64(part_before(&text, '.'), 255, &part))
            return false;
        *address = *address << 8 | (uint32_t)part;
    }
    return text.len == 0;
}

/* --- Words --- */

/* --ipv4=ADDRESS/PREFIX and --gateway=GATEWAY, which may be empty. */
static void put_address(struct reading *r, struct bytes address,
                        uint64_t prefix, struct bytes gateway)
{
    if (r->cmdline->takes_ipv4 && address.len > 0) {
        put_argument(r, TEXT("--ipv4="));
        put_bytes(r->args, address);
        fmt_put(r->args, "/%u", (unsigned)prefix);
    }
    if (r->cmdline->takes_gateway && gateway.len > 0) {
        put_argument(r, TEXT("--gateway="));
        put_bytes(r->args, gateway);
    }
}

static bool prefix_of_mask(struct bytes mask, uint64_t *prefix)
{
    uint32_t bits;

    if (!parse_ipv4(mask, &bits))
        return false;
    *prefix = bits == 0 ? 0 : 32U - (unsigned)__builtin_ctz(bits);
    /* Ones, then zeroes. */
    return *prefix == 0 || bits == UINT32_MAX << (32 - *prefix);
}

static bool check_addresses(struct bytes address, struct bytes gateway)
{
    uint32_t unused;

    return parse_ipv4(address, &unused) &&
           (gateway.len == 0 || parse_ipv4(gateway, &unused));
}

/* netdev.ip=ADDRESS/PREFIX:GATEWAY:DNS..., all but the first may be absent */
static bool read_netdev(struct reading *r, const struct word *word)
{
    struct bytes rest = word->value;
    struct bytes net = part_before(&rest, ':');
    struct bytes gateway = part_before(&rest, ':');
    struct bytes address = part_before(&net, '/');
    uint64_t prefix;

    if (!check_addresses(address, gateway) || !fmt_parse_u64(net, 32, &prefix))
        return wrong(r, word->text, "give netdev.ip=ADDRESS/PREFIX:GATEWAY");
    put_address(r, address, prefix, gateway);
    return true;
}

/* ip=ADDRESS:SERVER:GATEWAY:MASK:HOST:DEVICE:AUTOCONF */
static bool read_ip(struct reading *r, const struct word *word)
{
    struct bytes rest = word->value;
    struct bytes address = part_before(&rest, ':');
    uint64_t prefix = 0;

    /* "dhcp" and "off" are settled when the unikernel is built. */
    if (!contains(word->value, ':') || address.len == 0)
        return true;
    (void)part_before(&rest, ':');
    struct bytes gateway = part_before(&rest, ':');
    struct bytes mask = part_before(&rest, ':');
    if (!check_addresses(address, gateway) || !prefix_of_mask(mask, &prefix))
        return wrong(r, word->text, "give ip=ADDRESS::GATEWAY:MASK");
    put_address(r, address, prefix, gateway);
    return true;
}

/* Unikraft's older words, once no more can come. */
static bool end_netdev(struct reading *r)
{
    uint64_t prefix = 24;

    if (r->address.len == 0)
        return true;
    if (!check_addresses(r->address, r->gateway) ||
        (r->mask.len > 0 && !prefix_of_mask(r->mask, &prefix)))
        return wrong(
            r, r->address,
            "give netdev.ipv4_addr=ADDRESS netdev.ipv4_gw_addr=GATEWAY "
            "netdev.ipv4_subnet_mask=MASK");
    put_address(r, r->address, prefix, r->gateway);
    r->address = (struct bytes){0};
    return true;
}

/* virtio_mmio.device=SIZE[KM]@ADDRESS:LINE[:ID] */
static bool read_device(struct reading *r, const struct word *word)
{
    static const char how[] = "give virtio_mmio.device=SIZE@ADDRESS:LINE";
    struct cmdline *cmdline = r->cmdline;
    struct bytes rest = word->value;
    struct cmdline_device device;
    uint64_t line, end;

    if (!take_number(&rest, &device.size))
        return wrong(r, word->text, how);
    if (rest.len > 0 && (rest.at[0] | 0x20) == 'k')
        device.size <<= 10;
    if (rest.len > 0 && (rest.at[0] | 0x20) == 'm')
        device.size <<= 20;
    if (rest.len > 0 && rest.at[0] != '@')
        rest = bytes_after(rest, 1);
    if (!begins(rest, TEXT("@")))
        return wrong(r, word->text, how);
    rest = bytes_after(rest, 1);
    if (!take_number(&rest, &device.address) || !begins(rest, TEXT(":")))
        return wrong(r, word->text, how);
    rest = bytes_after(rest, 1);
    if (!take_number(&rest, &line) || line > UINT32_MAX ||
        (rest.len > 0 && rest.at[0] != ':') || device.size == 0 ||
        __builtin_add_overflow(device.address, device.size, &end))
        return wrong(r, word->text, how);
    device.line = (uint32_t)line;
    if (cmdline->device_count < CMDLINE_DEVICES)
        cmdline->devices[cmdline->device_count++] = device;
    return true;
}

/* What kernels are told, and we need not know. */
static bool is_for_a_kernel(const struct word *word)
{
    static const char *const keys[] = {
        "console", "root",     "rootfstype", "rootflags",   "panic",
        "reboot",  "init",     "rdinit",     "pci",         "acpi",
        "tsc",     "loglevel", "earlycon",   "earlyprintk", "nomodules",
        "ro",      "rw",       "quiet",      "noapic",      "debug",
    };
    struct bytes name = word->text;

    if (word->has_value)
        name = bytes_first(name, name.len - word->value.len - 1);
    /* As i8042.noaux, random.trust_cpu, vfs.fstab, env.vars. */
    if (name.at[0] != '-' && contains(name, '.'))
        return true;
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (bytes_are(name, keys[i]))
            return true;
    return false;
}

/* A word before `--`; `kernel`: what is not known is a kernel's. */
static bool read_word(struct reading *r, const struct word *word, bool kernel)
{
    if (IS_KEY(word, "netdev.ip"))
        return read_netdev(r, word);
    if (IS_KEY(word, "ip"))
        return read_ip(r, word);
    if (IS_KEY(word, "netdev.ipv4_addr"))
        r->address = word->value;
    else if (IS_KEY(word, "netdev.ipv4_gw_addr"))
        r->gateway = word->value;
    else if (IS_KEY(word, "netdev.ipv4_subnet_mask"))
        r->mask = word->value;
    else if (IS_KEY(word, "--ipv4-gateway"))
        put_address(r, (struct bytes){0}, 0, word->value);
    else if (word->text.at[0] == '-' || (!kernel && !is_for_a_kernel(word)))
        put_argument(r, word->text);
    return true;
}

static bool is_end(const struct word *word)
{
    return bytes_equal(word->text, TEXT("--"));
}

/* Whether there is a `--`, and a kernel's word before it. */
static bool is_for_kernels(struct bytes text)
{
    struct word word;
    bool kernel = false;

    while (next_word(&text, &word)) {
        if (is_end(&word))
            return kernel;
        kernel = kernel || word.text.at[0] != '-';
    }
    return false;
}

bool cmdline_read(struct cmdline *cmdline, struct bytes text,
                  struct writer *args, struct writer *why)
{
    struct reading r = {.cmdline = cmdline, .args = args, .why = why};
    struct word word;
    bool after = false;

    if (cmdline->named)
        (void)next_word(&text, &word);
    bool kernel = is_for_kernels(text);
    while (next_word(&text, &word)) {
        /* Monitors append these, wherever that is. */
        if (IS_KEY(&word, "virtio_mmio.device")) {
            if (!read_device(&r, &word))
                return false;
        } else if (after) {
            put_argument(&r, word.text);
        } else if (is_end(&word)) {
            after = true;
            if (!end_netdev(&r))
                return false;
            if (!kernel)
                put_argument(&r, word.text);
        } else if (!read_word(&r, &word, kernel)) {
            return false;
        }
    }
    if (!end_netdev(&r))
        return false;
    if (args->failed) {
        fmt_put(why, "the command line is too long");
        return false;
    }
    return true;
}
