// simdjson's on-demand parser walked to the end of the document, so that all of it is checked, and
// flattened into a tape that C reads. Lines of the expected shape never get here (json_line.c).
#include "json_tape.h"

#include <simdjson.h>

#include <cstring>
#include <string_view>
#include <vector>

namespace
{

using simdjson::ondemand::document;
using simdjson::ondemand::json_type;
using simdjson::ondemand::value;

struct walker {
    simdjson::ondemand::parser parser;
    std::vector<json_token> tape;
};

walker &mine()
{
    static thread_local walker w;
    return w;
}

void put(walker &w, json_kind kind, std::string_view text)
{
    w.tape.push_back(json_token{kind, static_cast<uint32_t>(text.size()), 0, text.data()});
}

// -? (0 | [1-9] digits) [. digits] [e [+-] digits]
bool is_number(std::string_view s)
{
    size_t at = !s.empty() && s[0] == '-', n = s.size();
    auto digits = [&] {
        size_t from = at;
        while (at < n && s[at] >= '0' && s[at] <= '9') {
            at++;
        }
        return at - from;
    };
    bool zero = at < n && s[at] == '0';
    size_t whole = digits();
    if (whole == 0 || (zero && whole > 1)) {
        return false;
    }
    if (at < n && s[at] == '.') {
        at++;
        if (digits() == 0) {
            return false;
        }
    }
    if (at < n && (s[at] == 'e' || s[at] == 'E')) {
        at++;
        at += at < n && (s[at] == '+' || s[at] == '-');
        if (digits() == 0) {
            return false;
        }
    }
    return at == n;
}

std::string_view trimmed(std::string_view s)
{
    while (!s.empty() && std::strchr(" \t\r\n", s.back()) != nullptr) {
        s.remove_suffix(1);
    }
    return s;
}

// Where the container that begins at p ends, which is known to be well-formed
const char *end_of(const char *p)
{
    int depth = 0;
    for (;; p++) {
        if (*p == '"') {
            for (p++; *p != '"'; p++) {
                p += *p == '\\';
            }
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if ((*p == '}' || *p == ']') && --depth == 0) {
            return p + 1;
        }
    }
}

bool walk(walker &w, value v);

void close_container(walker &w, size_t at)
{
    json_token &t = w.tape[at];
    t.inside = static_cast<uint32_t>(w.tape.size() - at - 1);
    t.n = static_cast<uint32_t>(end_of(t.p) - t.p);
}

bool walk_object(walker &w, simdjson::ondemand::object o)
{
    for (auto member : o) {
        std::string_view key;
        value v;
        if (member.unescaped_key().get(key)) {
            return false;
        }
        put(w, JSON_KEY, key);
        if (member.value().get(v) || !walk(w, v)) {
            return false;
        }
    }
    return true;
}

bool walk_array(walker &w, simdjson::ondemand::array a)
{
    for (auto item : a) {
        value v;
        if (item.get(v) || !walk(w, v)) {
            return false;
        }
    }
    return true;
}

bool walk_word(walker &w, std::string_view token, const char *word, json_kind kind)
{
    put(w, kind, token);
    return token == word;
}

bool walk(walker &w, value v)
{
    json_type type;
    if (v.type().get(type)) {
        return false;
    }
    std::string_view token = trimmed(v.raw_json_token());
    size_t at = w.tape.size();
    std::string_view text;
    switch (type) {
    case json_type::object: {
        simdjson::ondemand::object o;
        put(w, JSON_OBJECT, token);
        if (v.get_object().get(o) || !walk_object(w, o)) {
            return false;
        }
        close_container(w, at);
        return true;
    }
    case json_type::array: {
        simdjson::ondemand::array a;
        put(w, JSON_ARRAY, token);
        if (v.get_array().get(a) || !walk_array(w, a)) {
            return false;
        }
        close_container(w, at);
        return true;
    }
    case json_type::string:
        if (v.get_string().get(text)) {
            return false;
        }
        put(w, JSON_TEXT, text);
        return true;
    case json_type::number: put(w, JSON_NUMBER, token); return is_number(token);
    case json_type::boolean:
        return token == "true" ? walk_word(w, token, "true", JSON_TRUE)
                               : walk_word(w, token, "false", JSON_FALSE);
    case json_type::null: return walk_word(w, token, "null", JSON_NULL);
    }
    return false;
}

bool walk_document(walker &w, document &doc)
{
    json_type type;
    if (doc.type().get(type)) {
        return false;
    }
    simdjson::ondemand::object o;
    simdjson::ondemand::array a;
    const char *at = nullptr;
    if (doc.current_location().get(at)) {
        return false;
    }
    put(w, type == json_type::object ? JSON_OBJECT : JSON_ARRAY, std::string_view(at, 1));
    if (type == json_type::object) {
        if (doc.get_object().get(o) || !walk_object(w, o)) {
            return false;
        }
    } else if (type != json_type::array || doc.get_array().get(a) || !walk_array(w, a)) {
        return false;
    }
    if (doc.current_location().error() != simdjson::OUT_OF_BOUNDS) { // something stands behind it
        return false;
    }
    close_container(w, 0);
    return true;
}

} // namespace

extern "C" bool efx_json__parse(const char *p, size_t n, struct json_tape *out)
{
    walker &w = mine();
    document doc;
    w.tape.clear();
    if (w.parser.iterate(p, n, n + simdjson::SIMDJSON_PADDING).get(doc) || !walk_document(w, doc)) {
        return false;
    }
    *out = json_tape{w.tape.data(), static_cast<uint32_t>(w.tape.size())};
    return true;
}

extern "C" bool efx_json__is_utf8(const char *p, size_t n)
{
    return simdjson::validate_utf8(p, n);
}
