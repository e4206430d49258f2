// TOML behind a C face: a file as flat keys. The only place that knows tomlplusplus.
#define TOML_EXCEPTIONS        0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <cstdio>
#include <string>

extern "C" {
typedef bool (*conf_value_fn)(void *arg, const char *key, const char *value, unsigned line);
bool conf_toml(const char *text, size_t n, conf_value_fn fn, void *arg, char *why,
               size_t why_bytes);
}

namespace
{

struct walk {
    conf_value_fn fn;
    void *arg;
    char *why;
    size_t why_bytes;

    bool refuse(const toml::node &node, const std::string &key, const char *what)
    {
        (void)snprintf(why, why_bytes, "line %u: %s %s", (unsigned)node.source().begin.line,
                       key.c_str(), what);
        return false;
    }

    bool text(const toml::node &node, const std::string &key, std::string *out)
    {
        if (const auto *s = node.as_string()) {
            *out = s->get();
        } else if (const auto *i = node.as_integer()) {
            *out = std::to_string(i->get());
        } else if (const auto *b = node.as_boolean()) {
            *out = b->get() ? "true" : "false";
        } else if (const auto *d = node.as_floating_point()) {
            char digits[64];
            (void)snprintf(digits, sizeof digits, "%.17g", d->get());
            *out = digits;
        } else {
            return refuse(node, key, "is neither text, number, truth nor a list of them");
        }
        return true;
    }

    bool table(const toml::table &t, const std::string &prefix)
    {
        for (const auto &[name, node] : t) {
            std::string key = prefix + std::string(name.str()), value;
            if (const auto *inner = node.as_table()) {
                if (!table(*inner, key + ".")) {
                    return false;
                }
                continue;
            }
            if (const auto *list = node.as_array()) {
                for (size_t i = 0; i < list->size(); i++) {
                    std::string one;
                    if (!text((*list)[i], key, &one)) {
                        return false;
                    }
                    value += (i > 0 ? "," : "") + one;
                }
            } else if (!text(node, key, &value)) {
                return false;
            }
            if (!fn(arg, key.c_str(), value.c_str(), (unsigned)node.source().begin.line)) {
                return false;
            }
        }
        return true;
    }
};

} // namespace

bool conf_toml(const char *text, size_t n, conf_value_fn fn, void *arg, char *why, size_t why_bytes)
{
    toml::parse_result result = toml::parse(std::string_view(text, n));
    if (!result) {
        const toml::parse_error &e = result.error();
        (void)snprintf(why, why_bytes, "line %u, column %u: %.*s", (unsigned)e.source().begin.line,
                       (unsigned)e.source().begin.column, (int)e.description().size(),
                       e.description().data());
        return false;
    }
    walk w{fn, arg, why, why_bytes};
    return w.table(result.table(), "");
}
