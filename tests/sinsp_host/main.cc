// Stands in for Falco: loads the plugin into a real libsinsp the way Falco loads a plugin with an event source of its own, compiles
// conditions and outputs with Falco's own compiler and formatter, and says which of them match each event.
//
// Like Falco it offers the compiler two lists of fields only, the generic event fields (evt.num, evt.time, ...) and the plugin's, so
// that proc.name means the plugin's field and not libsinsp's. (The sysdig command does not do that, hence this program.)
//
// Input, --pairs FILE: one JSON object per line, {"id": text, "condition": text, "output": text}; an empty condition matches every
// event, an empty output prints nothing. Output, on stdout: one JSON object per line, told apart by "type":
//   plugin   what the plugin says of itself, once; with --plugin-fields its fields as libsinsp understood them
//   pair     one per pair: "ok", and where not "where" (condition or output) and "error"; "warnings" if the compiler has any
//   ready    the event source is open
//   match    one per event and matching pair that has an output
//   summary  at the end
// With --capture FILE it reads a .scap file instead, with libsinsp's own fields for system calls and no plugin: what a condition means
// before it is retargeted. --event-table prints how many parameters this libsinsp knows of each event type, and ends.
// With --restart-after all of it comes twice, as with a Falco that reloads its configuration within one process.
// Exit code: 0, also when pairs do not compile; 1 when the plugin cannot be loaded or fails; 2 on wrong usage.

#include <getopt.h>
#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <json/json.h>
#include <libsinsp/eventformatter.h>
#include <libsinsp/filter.h>
#include <libsinsp/filter_check_list.h>
#include <libsinsp/logger.h>
#include <libsinsp/plugin.h>
#include <libsinsp/plugin_manager.h>
#include <libsinsp/sinsp.h>
#include <libsinsp/sinsp_filtercheck.h>

namespace {

volatile sig_atomic_t stop_signal = 0;

void on_signal(int number) { stop_signal = number; }

using clock_type = std::chrono::steady_clock;

double seconds_since(clock_type::time_point start) { return std::chrono::duration<double>(clock_type::now() - start).count(); }

struct Options {
    std::string plugin;
    std::string capture;
    bool event_table = false;
    std::string config;
    std::string open_params;
    std::string pairs;
    bool compile_only = false;
    bool plugin_fields = false;
    bool fields = false;
    uint64_t max_events = 0;
    uint64_t max_matches = 0;
    uint64_t restart_after = 0;
    uint64_t dry_runs = 0;
    double time = 0;
    double idle = 0;
    double first = 0;
    int log = sinsp_logger::SEV_WARNING;
};

struct Pair {
    std::string id;
    std::unique_ptr<sinsp_filter> filter;                // none: every event
    std::unique_ptr<sinsp_evt_formatter> output;         // none: nothing to print
    uint64_t matches = 0;
    bool failed = false;                                 // at run time
};

// One line of JSON to stdout. Text that is not valid UTF-8 comes out with U+FFFD.
void print(const Json::Value& value) {
    static const std::unique_ptr<Json::StreamWriter> writer = [] {
        Json::StreamWriterBuilder builder;
        builder["indentation"] = "";
        return std::unique_ptr<Json::StreamWriter>(builder.newStreamWriter());
    }();
    writer->write(value, &std::cout);
    std::cout << '\n';
}

bool parse(const std::string& text, Json::Value& value, std::string& error) {
    static const std::unique_ptr<Json::CharReader> reader(Json::CharReaderBuilder().newCharReader());
    return reader->parse(text.data(), text.data() + text.size(), &value, &error);
}

// ---- the plugin ----------------------------------------------------------------------------------------------------

const char* type_name(ppm_param_type type) {
    switch(type) {
    case PT_UINT64: return "uint64";
    case PT_CHARBUF: return "string";
    case PT_RELTIME: return "reltime";
    case PT_ABSTIME: return "abstime";
    case PT_BOOL: return "bool";
    case PT_IPADDR: return "ipaddr";
    case PT_IPNET: return "ipnet";
    default: return "other";
    }
}

Json::Value describe(const sinsp_plugin& plugin, const filter_check_list& generic, bool with_fields) {
    Json::Value out;
    out["type"] = "plugin";
    out["name"] = plugin.name();
    out["description"] = plugin.description();
    out["contact"] = plugin.contact();
    out["version"] = plugin.plugin_version().as_string();
    out["required_api"] = plugin.required_api_version().as_string();
    out["id"] = plugin.id();
    out["source"] = plugin.event_source();
    out["sourcing"] = (plugin.caps() & CAP_SOURCING) != 0;
    out["extraction"] = (plugin.caps() & CAP_EXTRACTION) != 0;
    out["parsing"] = (plugin.caps() & CAP_PARSING) != 0;
    out["async"] = (plugin.caps() & CAP_ASYNC) != 0;
    out["field_count"] = static_cast<Json::UInt64>(plugin.fields().size());
    for(const auto& source : plugin.extract_event_sources()) {
        out["extract_sources"].append(source);
    }
    // Falco refuses a plugin that declares a name which another list of the same source has.
    out["overlapping"] = Json::Value(Json::arrayValue);
    std::vector<const filter_check_info*> infos;
    generic.get_all_fields(infos);
    for(const auto& field : plugin.fields()) {
        for(const auto* info : infos) {
            for(int32_t i = 0; i < info->m_nfields; i++) {
                if(info->m_fields[i].m_name == field.m_name) {
                    out["overlapping"].append(field.m_name);
                }
            }
        }
    }
    if(with_fields) {
        for(const auto& field : plugin.fields()) {
            Json::Value entry;
            entry["name"] = field.m_name;
            entry["kind"] = type_name(field.m_type);
            entry["list"] = field.is_list();
            entry["index"] = (field.m_flags & EPF_ARG_INDEX) != 0;
            entry["key"] = (field.m_flags & EPF_ARG_KEY) != 0;
            entry["required"] = field.is_arg_required();
            entry["suggested"] = field.is_format_suggested();
            entry["description"] = field.m_description;
            out["fields"].append(entry);
        }
    }
    return out;
}

Json::Value metrics_of(const sinsp_plugin& plugin) {
    Json::Value out(Json::objectValue);
    for(const auto& metric : plugin.get_metrics()) {
        Json::Value value;
        switch(metric.type) {
        case METRIC_VALUE_TYPE_U32: value = metric.value.u32; break;
        case METRIC_VALUE_TYPE_S32: value = metric.value.s32; break;
        case METRIC_VALUE_TYPE_U64: value = static_cast<Json::UInt64>(metric.value.u64); break;
        case METRIC_VALUE_TYPE_S64: value = static_cast<Json::Int64>(metric.value.s64); break;
        case METRIC_VALUE_TYPE_D: value = metric.value.d; break;
        case METRIC_VALUE_TYPE_F: value = metric.value.f; break;
        case METRIC_VALUE_TYPE_I: value = metric.value.i; break;
        default: break;
        }
        out[metric.name] = value;
    }
    return out;
}

// ---- the pairs -----------------------------------------------------------------------------------------------------

// Reports what became of it and returns it if it compiled.
std::optional<Pair> compile(const Json::Value& spec,
                            sinsp& inspector,
                            const std::shared_ptr<sinsp_filter_factory>& factory,
                            filter_check_list& checks) {
    Pair pair;
    pair.id = spec["id"].asString();
    Json::Value report;
    report["type"] = "pair";
    report["id"] = pair.id;
    const char* where = "condition";
    try {
        const std::string condition = spec["condition"].asString();
        if(!condition.empty()) {
            sinsp_filter_compiler compiler(factory, condition);
            pair.filter = compiler.compile();
            for(const auto& warning : compiler.get_warnings()) {
                report["warnings"].append(warning.msg);
            }
        }
        where = "output";
        std::string output = spec["output"].asString();
        if(!output.empty()) {
            if(output[0] != '*') { // as Falco does: print the rest even where a field has no value
                output.insert(output.begin(), '*');
            }
            pair.output = std::make_unique<sinsp_evt_formatter>(&inspector, output, checks);
        }
    } catch(const std::exception& error) {
        report["ok"] = false;
        report["where"] = where;
        report["error"] = error.what();
        print(report);
        return std::nullopt;
    }
    report["ok"] = true;
    print(report);
    return pair;
}

void report_failure(const std::string& id, const char* error) {
    Json::Value report;
    report["type"] = "pair";
    report["id"] = id;
    report["ok"] = false;
    report["where"] = "run";
    report["error"] = error;
    print(report);
}

bool read_pairs(const std::string& path, std::vector<Json::Value>& specs) {
    std::ifstream file;
    if(path != "-") {
        file.open(path);
        if(!file) {
            std::cerr << "sinsp_host: cannot read " << path << "\n";
            return false;
        }
    }
    std::istream& in = path == "-" ? std::cin : file;
    std::string line;
    for(size_t number = 1; std::getline(in, line); number++) {
        if(line.empty()) {
            continue;
        }
        Json::Value spec;
        std::string error;
        if(!parse(line, spec, error) || !spec.isObject() || !spec["id"].isString() || !(spec["condition"].isString() || spec["condition"].isNull()) ||
           !(spec["output"].isString() || spec["output"].isNull())) {
            std::cerr << "sinsp_host: " << path << ":" << number << ": not an object with the texts id, condition and output " << error << "\n";
            return false;
        }
        specs.push_back(spec);
    }
    return true;
}

// ---- dry runs ----------------------------------------------------------------------------------------------------

// What Falco does in a thread of its own when it checks a changed configuration: a second instance of the plugin, from the same
// image, is loaded, initialised and destroyed while the first one works.
class DryRuns {
public:
    explicit DryRuns(const Options& options): m_thread([&options, this] { work(options); }) {}
    ~DryRuns() {
        m_stop = true;
        m_thread.join();
    }
    Json::Value report() const {
        Json::Value out;
        out["done"] = static_cast<Json::UInt64>(m_done.load());
        out["failed"] = static_cast<Json::UInt64>(m_failed.load());
        return out;
    }

private:
    void work(const Options& options) {
        for(uint64_t i = 0; i < options.dry_runs && !m_stop; i++) {
            try {
                sinsp inspector;
                const auto plugin = inspector.register_plugin(options.plugin);
                std::string error;
                (plugin->init(options.config, error) ? m_done : m_failed)++;
            } catch(const std::exception& error) {
                m_failed++;
            }
        }
    }

    std::atomic<uint64_t> m_done{0}, m_failed{0};
    std::atomic<bool> m_stop{false};
    std::thread m_thread; // last: it uses the others
};

// ---- events --------------------------------------------------------------------------------------------------------

// Says so if the event matches. Returns whether it does.
bool evaluate(const Options& options, Pair& pair, sinsp_evt* event) {
    if(pair.filter != nullptr && !pair.filter->run(event)) {
        return false;
    }
    pair.matches++;
    if(pair.output != nullptr) {
        Json::Value line;
        line["type"] = "match";
        line["id"] = pair.id;
        line["evtnum"] = static_cast<Json::UInt64>(event->get_num());
        line["ts"] = static_cast<Json::UInt64>(event->get_ts());
        std::string text;
        pair.output->tostring_withformat(event, text, sinsp_evt_formatter::OF_NORMAL);
        line["output"] = text;
        if(options.fields) {
            pair.output->tostring_withformat(event, text, sinsp_evt_formatter::OF_JSON);
            std::string why;
            if(!parse(text, line["fields"], why)) {
                line["fields_error"] = why;
            }
        }
        print(line);
    }
    return true;
}

// Runs until a limit is reached or a signal comes. Returns the exit code.
int run(const Options& options, sinsp& inspector, const std::shared_ptr<sinsp_plugin>& plugin, std::vector<Pair>& pairs) {
    if(plugin == nullptr) {
        inspector.open_savefile(options.capture);
    } else {
        // Platform as in Falco for a source that is not "syscall": host's name and such, no process table.
        inspector.open_plugin(plugin->name(), options.open_params, sinsp_plugin_platform::SINSP_PLATFORM_HOSTINFO);
    }
    Json::Value ready;
    ready["type"] = "ready";
    print(ready);
    std::cout.flush();

    uint64_t events = 0, matches = 0, timeouts = 0;
    int code = 0;
    const char* ended = nullptr;
    std::string error;
    DryRuns dry_runs(options);
    const auto start = clock_type::now();
    auto last_event = start, last_flush = start;

    while(ended == nullptr) {
        if(stop_signal != 0) {
            ended = "signal";
            break;
        }
        sinsp_evt* event = nullptr;
        const int32_t rc = inspector.next(&event);
        const auto now = clock_type::now();
        if(rc == SCAP_SUCCESS) {
            events++;
            last_event = now;
            for(auto& pair : pairs) {
                if(pair.failed) {
                    continue;
                }
                try {
                    matches += evaluate(options, pair, event);
                } catch(const sinsp_exception& failure) {
                    if(plugin != nullptr) {
                        throw;
                    }
                    // Some of libsinsp's own fields find out at run time only what they cannot compare or print.
                    pair.failed = true;
                    report_failure(pair.id, failure.what());
                }
            }
            if(options.restart_after != 0 && events >= options.restart_after) {
                ended = "restart";
            } else if(options.max_events != 0 && events >= options.max_events) {
                ended = "events";
            } else if(options.max_matches != 0 && matches >= options.max_matches) {
                ended = "matches";
            }
        } else if(rc == SCAP_TIMEOUT) {
            timeouts++;
            std::cout.flush();
            last_flush = now;
        } else if(rc == SCAP_EOF) {
            ended = "eof";
        } else if(rc != SCAP_FILTERED_EVENT) {
            ended = "error";
            error = inspector.getlasterr();
            code = 1;
        }
        if(now - last_flush > std::chrono::milliseconds(200)) {
            std::cout.flush();
            last_flush = now;
        }
        if(ended == nullptr) {
            const double quiet = std::chrono::duration<double>(now - last_event).count();
            const double allowed = events == 0 && options.first > 0 ? options.first : options.idle;
            if(allowed > 0 && quiet >= allowed) {
                ended = "idle";
            } else if(options.time > 0 && seconds_since(start) >= options.time) {
                ended = "time";
            }
        }
    }

    Json::Value summary;
    summary["type"] = "summary";
    summary["ended"] = ended;
    if(!error.empty()) {
        summary["error"] = error;
    }
    summary["events"] = static_cast<Json::UInt64>(events);
    summary["timeouts"] = static_cast<Json::UInt64>(timeouts);
    summary["seconds"] = seconds_since(start);
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    summary["cpu_seconds"] = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                             static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    summary["matches"] = Json::Value(Json::objectValue);
    for(const auto& pair : pairs) {
        Json::Value& count = summary["matches"][pair.id];
        count = static_cast<Json::UInt64>(count.asUInt64() + pair.matches); // ids need not be unique
    }
    if(plugin != nullptr) {
        summary["metrics"] = metrics_of(*plugin);
    }
    if(options.dry_runs != 0) {
        summary["dry_runs"] = dry_runs.report();
    }
    inspector.close();
    print(summary);
    return code;
}

// ---- start ---------------------------------------------------------------------------------------------------------

void usage(std::FILE* to) {
    std::fputs(
            "usage: sinsp_host --plugin FILE.so | --capture FILE.scap | --event-table [options]\n"
            "  --plugin FILE         the plugin\n"
            "  --capture FILE        a capture, with libsinsp's own fields\n"
            "  --event-table         how many parameters each event type has\n"
            "  --config JSON         its init_config\n"
            "  --open-params TEXT    its open_params\n"
            "  --pairs FILE          conditions and outputs, a JSON object a line; - is stdin\n"
            "  --compile-only        report each pair and end; the event source is not opened\n"
            "  --plugin-fields       list the plugin's fields as libsinsp understood them\n"
            "  --fields              each match also with its output's fields as JSON\n"
            "  --max-events N        end after so many events\n"
            "  --max-matches N       end after so many matches\n"
            "  --restart-after N     after so many events close everything and begin anew, once\n"
            "  --dry-runs N          load and initialise the plugin so often in another thread meanwhile\n"
            "  --time SECONDS        end after so long\n"
            "  --idle SECONDS        end when no event came for so long\n"
            "  --first SECONDS       wait so long for the first event (default: --idle)\n"
            "  --log LEVEL           libsinsp's and the plugin's log on stderr: 1 fatal ... 4 warning (default) ... 8 trace\n",
            to);
}

// Returns an exit code where there is nothing more to do.
std::optional<int> parse_options(int argc, char** argv, Options& options) {
    enum { PLUGIN = 256, CAPTURE, EVENT_TABLE, CONFIG, OPEN_PARAMS, PAIRS, COMPILE_ONLY, PLUGIN_FIELDS, FIELDS, MAX_EVENTS, MAX_MATCHES, RESTART_AFTER, DRY_RUNS, TIME, IDLE, FIRST, LOG };
    static const option table[] = {
            {"plugin", required_argument, nullptr, PLUGIN},
            {"capture", required_argument, nullptr, CAPTURE},
            {"event-table", no_argument, nullptr, EVENT_TABLE},
            {"config", required_argument, nullptr, CONFIG},
            {"open-params", required_argument, nullptr, OPEN_PARAMS},
            {"pairs", required_argument, nullptr, PAIRS},
            {"compile-only", no_argument, nullptr, COMPILE_ONLY},
            {"plugin-fields", no_argument, nullptr, PLUGIN_FIELDS},
            {"fields", no_argument, nullptr, FIELDS},
            {"max-events", required_argument, nullptr, MAX_EVENTS},
            {"max-matches", required_argument, nullptr, MAX_MATCHES},
            {"restart-after", required_argument, nullptr, RESTART_AFTER},
            {"dry-runs", required_argument, nullptr, DRY_RUNS},
            {"time", required_argument, nullptr, TIME},
            {"idle", required_argument, nullptr, IDLE},
            {"first", required_argument, nullptr, FIRST},
            {"log", required_argument, nullptr, LOG},
            {"help", no_argument, nullptr, 'h'},
            {nullptr, 0, nullptr, 0},
    };
    const char* end = "";
    char* rest = nullptr;
    const auto number = [&] {
        const double value = std::strtod(optarg, &rest);
        if(*optarg == '\0' || *rest != '\0' || !(value >= 0)) {
            end = optarg;
        }
        return value;
    };
    int choice = 0;
    while((choice = getopt_long(argc, argv, "h", table, nullptr)) != -1) {
        switch(choice) {
        case PLUGIN: options.plugin = optarg; break;
        case CAPTURE: options.capture = optarg; break;
        case EVENT_TABLE: options.event_table = true; break;
        case CONFIG: options.config = optarg; break;
        case OPEN_PARAMS: options.open_params = optarg; break;
        case PAIRS: options.pairs = optarg; break;
        case COMPILE_ONLY: options.compile_only = true; break;
        case PLUGIN_FIELDS: options.plugin_fields = true; break;
        case FIELDS: options.fields = true; break;
        case MAX_EVENTS: options.max_events = static_cast<uint64_t>(number()); break;
        case MAX_MATCHES: options.max_matches = static_cast<uint64_t>(number()); break;
        case RESTART_AFTER: options.restart_after = static_cast<uint64_t>(number()); break;
        case DRY_RUNS: options.dry_runs = static_cast<uint64_t>(number()); break;
        case TIME: options.time = number(); break;
        case IDLE: options.idle = number(); break;
        case FIRST: options.first = number(); break;
        case LOG: options.log = static_cast<int>(number()); break;
        case 'h': usage(stdout); return 0;
        default: usage(stderr); return 2;
        }
        if(*end != '\0') {
            std::cerr << "sinsp_host: not a number that is 0 or more: " << end << "\n";
            return 2;
        }
    }
    const int sources = !options.plugin.empty() + !options.capture.empty() + options.event_table;
    if(sources != 1 || optind != argc || options.log < sinsp_logger::SEV_FATAL || options.log > sinsp_logger::SEV_TRACE) {
        usage(stderr);
        return 2;
    }
    return std::nullopt;
}

void print_event_table() {
    Json::Value out;
    out["type"] = "event_table";
    for(int code = 0; code < PPM_EVENT_MAX; code++) {
        out["parameters"].append(scap_get_event_info_table()[code].nparams);
    }
    print(out);
}

std::vector<Pair> compile_all(const std::vector<Json::Value>& specs, sinsp& inspector, filter_check_list& checks) {
    const auto factory = std::make_shared<sinsp_filter_factory>(&inspector, checks);
    std::vector<Pair> pairs;
    for(const auto& spec : specs) {
        if(auto pair = compile(spec, inspector, factory, checks)) {
            pairs.push_back(std::move(*pair));
        }
    }
    std::cout.flush();
    return pairs;
}

int start(const Options& options) {
    if(options.event_table) {
        print_event_table();
        return 0;
    }
    std::vector<Json::Value> specs;
    if(!options.pairs.empty() && !read_pairs(options.pairs, specs)) {
        return 2;
    }
    libsinsp_logger()->add_stderr_log();
    libsinsp_logger()->disable_timestamps();
    libsinsp_logger()->set_severity(static_cast<sinsp_logger::severity>(options.log));

    sinsp inspector;
    if(!options.capture.empty()) {
        sinsp_filter_check_list native;
        auto pairs = compile_all(specs, inspector, native);
        return options.compile_only ? 0 : run(options, inspector, nullptr, pairs);
    }
    const std::shared_ptr<sinsp_plugin> plugin = inspector.register_plugin(options.plugin);

    filter_check_list generic_only;
    generic_only.add_filter_check(sinsp::new_generic_filtercheck());
    print(describe(*plugin, generic_only, options.plugin_fields));
    std::cout.flush();

    std::string error;
    if(!plugin->init(options.config, error)) {
        throw sinsp_exception(error);
    }

    filter_check_list checks;
    checks.add_filter_check(sinsp::new_generic_filtercheck());
    checks.add_filter_check(sinsp_plugin::new_filtercheck(plugin));
    std::vector<Pair> pairs = compile_all(specs, inspector, checks);
    return options.compile_only ? 0 : run(options, inspector, plugin, pairs);
}

} // namespace

int main(int argc, char** argv) {
    Options options;
    if(const auto code = parse_options(argc, argv, options)) {
        return *code;
    }
    struct sigaction action {};
    action.sa_handler = on_signal; // without SA_RESTART, as Falco: calls of the plugin are interrupted
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    signal(SIGPIPE, SIG_DFL);
    std::ios::sync_with_stdio(false);
    try {
        int code = start(options);
        if(code == 0 && options.restart_after != 0 && stop_signal == 0) {
            options.restart_after = 0;
            code = start(options);
        }
        std::cout.flush();
        return code;
    } catch(const std::exception& error) {
        std::cout.flush();
        std::cerr << "sinsp_host: " << error.what() << "\n";
        return 1;
    }
}
