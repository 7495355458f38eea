// A service in one page: reads prompts as token ids, one per line, and continues them side by side.
//
//   continue_ids MODEL_DIR MAX_TOKENS < prompts.txt
//
// Prints per prompt, in the order of the lines, the token ids that follow it, then the number of steps they
// took.
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "mtp_rt/mtp_rt.h"

namespace {

struct Answer {
  std::vector<mtp_rt::Token> tokens;
  mtp_rt::Stats stats;
};

std::vector<mtp_rt::Token> read_ids(const std::string& line) {
  std::istringstream words(line);
  std::vector<mtp_rt::Token> ids;
  for (mtp_rt::Token id = 0; words >> id;) ids.push_back(id);
  return ids;
}

std::map<mtp_rt::RequestId, Answer> continue_all(mtp_rt::Scheduler& scheduler) {
  std::map<mtp_rt::RequestId, Answer> answers;
  while (scheduler.running() + scheduler.waiting() > 0) {
    for (const mtp_rt::Event& event : scheduler.run_once()) {
      if (event.error) throw mtp_rt::EngineError(*event.error);
      Answer& answer = answers[event.request];
      answer.tokens.insert(answer.tokens.end(), event.commit.tokens.begin(), event.commit.tokens.end());
      if (event.stats) answer.stats = *event.stats;
    }
  }
  return answers;
}

void serve(const std::string& model_dir, std::int32_t max_tokens) {
  const auto model = mtp_rt::ModelDir::open(model_dir);
  mtp_rt::EngineOptions options;
  options.slots = 4;  // sequences at a time; further requests wait
  mtp_rt::Scheduler scheduler(mtp_rt::open_engine(model, options));
  for (std::string line; std::getline(std::cin, line);) {
    mtp_rt::Request request;
    request.prompt = read_ids(line);
    request.max_tokens = max_tokens;
    request.stop_token_ids = model->config().eos;
    scheduler.submit(std::move(request));
  }
  for (const auto& [id, answer] : continue_all(scheduler)) {
    for (const mtp_rt::Token token : answer.tokens) std::cout << token << ' ';
    std::cout << "(" << answer.stats.generated_tokens << " tokens, " << answer.stats.steps << " steps)\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: continue_ids MODEL_DIR MAX_TOKENS < prompts.txt\n";
    return 2;
  }
  try {
    serve(argv[1], std::atoi(argv[2]));
  } catch (const std::exception& error) {  // a damaged model, a prompt that does not fit, ...
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
