// SPDX-License-Identifier: Apache-2.0
#include "ctl/resolve.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "ctl/table.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

struct Matches {
  std::vector<Target> exact;
  std::vector<Target> prefix;

  void Consider(const Target& target, const std::string& word) {
    if (target.id == word || target.name == word) {
      exact.push_back(target);
    } else if (absl::StartsWith(target.id, word)) {
      prefix.push_back(target);
    }
  }
};

// A pod stands for the containers in it.
void DropContainersOfPods(std::vector<Target>& found) {
  std::set<std::string> pods;
  for (const Target& target : found) {
    if (target.kind == Target::Kind::kPod) {
      pods.insert(target.id);
    }
  }
  found.erase(std::remove_if(found.begin(), found.end(),
                             [&pods](const Target& target) {
                               return pods.count(target.pod) != 0;
                             }),
              found.end());
}

}  // namespace

std::string Describe(const Target& target) {
  return absl::StrCat(target.kind == Target::Kind::kPod ? "pod " : "container ",
                      ShortId(target.id), " (", target.name, ")");
}

absl::StatusOr<Target> Choose(const criv1::ListPodSandboxResponse& pods,
                              const criv1::ListContainersResponse& containers,
                              const std::string& word, Accept accept) {
  Matches matches;
  std::map<std::string, std::string> pod_names;
  for (const criv1::PodSandbox& pod : pods.items()) {
    pod_names[pod.id()] = pod.metadata().name();
    if (accept != Accept::kContainers) {
      matches.Consider(
          {Target::Kind::kPod, pod.id(), pod.metadata().name(), ""}, word);
    }
  }
  if (accept != Accept::kPods) {
    for (const criv1::Container& container : containers.containers()) {
      const std::string& name = container.metadata().name();
      const std::string full =
          absl::StrCat(pod_names[container.pod_sandbox_id()], "/", name);
      matches.Consider({Target::Kind::kContainer, container.id(),
                        word == full ? full : name, container.pod_sandbox_id()},
                       word);
    }
  }
  DropContainersOfPods(matches.exact);
  const std::vector<Target>& found =
      matches.exact.empty() ? matches.prefix : matches.exact;
  const char* kinds = accept == Accept::kPods         ? "pod"
                      : accept == Accept::kContainers ? "container"
                                                      : "pod or container";
  if (found.empty() || word.empty()) {
    return absl::NotFoundError(
        absl::StrCat("there is no ", kinds, " with the id or name \"", word,
                     "\": see quollctl pods and quollctl ps -a"));
  }
  if (found.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", word, "\" is more than one: ",
                     absl::StrJoin(found, ", ",
                                   [](std::string* out, const Target& target) {
                                     absl::StrAppend(out, Describe(target));
                                   }),
                     "; give more of its id"));
  }
  return found.front();
}

absl::StatusOr<Target> Resolve(Client& client, const std::string& word,
                               Accept accept) {
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::ListPodSandboxResponse pods,
      client.Call(client.runtime(),
                  &criv1::RuntimeService::Stub::ListPodSandbox,
                  criv1::ListPodSandboxRequest()));
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::ListContainersResponse containers,
      client.Call(client.runtime(),
                  &criv1::RuntimeService::Stub::ListContainers,
                  criv1::ListContainersRequest()));
  return Choose(pods, containers, word, accept);
}

}  // namespace quoll::ctl
