// Messages as `homa sim --trace` writes them: start_ns,from,to,bytes,best_ns,time_ns,measured.

#ifndef TRACE_H
#define TRACE_H

#include <cmath>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

struct Message
{
    uint64_t start_ps;
    uint32_t from, to, bytes;
    /// How long it took here, or -1 if it has not arrived.
    int64_t time_ps;
    /// As it was in the file.
    std::string line;
};

struct Trace
{
    std::string header;
    std::vector<Message> messages;
};

/// Reads a file; times are shifted by `delay_ps`.
inline Trace ReadTrace(const std::string& path, uint64_t delay_ps)
{
    std::ifstream file(path);
    Trace trace;
    std::getline(file, trace.header);
    for (std::string line; std::getline(file, line);) {
        Message message{0, 0, 0, 0, -1, line};
        double start_ns = 0;
        char comma;
        std::istringstream(line) >> start_ns >> comma >> message.from >> comma >> message.to >> comma
            >> message.bytes;
        message.start_ps = delay_ps + std::llround(start_ns * 1000);
        trace.messages.push_back(message);
    }
    return trace;
}

/// Writes the same lines with the times that messages took here.
inline void WriteTrace(const std::string& path, const Trace& trace)
{
    constexpr int COLUMNS_BEFORE_TIME = 5;
    std::ofstream file(path);
    file << trace.header << '\n' << std::fixed;
    file.precision(3);
    for (const Message& message : trace.messages) {
        size_t begin = 0;
        for (int column = 0; column < COLUMNS_BEFORE_TIME; ++column) {
            begin = message.line.find(',', begin) + 1;
        }
        file << message.line.substr(0, begin);
        if (message.time_ps >= 0) {
            file << message.time_ps / 1000.0;
        }
        file << message.line.substr(message.line.find(',', begin)) << '\n';
    }
}

#endif
