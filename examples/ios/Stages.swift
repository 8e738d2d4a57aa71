// Names what a picture shows with a network in stages, as far as the picture needs it, on iOS and macOS. It needs
// Network.swift.
//
//   edgekit stages exported --target coreml
//
// Drag chain.json and the packages of exported/NAME.stages into the Xcode project. Where a picture leaves is decided on
// integers, so it is the exit that every other runtime takes. See docs/adaptive.md.

import CoreML
import ImageIO
import Vision

struct Chain: Decodable {
    struct Rule: Decodable {
        let scale: Double  // of a step of the logits
        let table: [Int]  // exp of each difference to the largest logit, in fixed point
        let limit: Int
    }

    struct Stage: Decodable {
        let exit: String
        let rule: Rule
    }

    let stages: [Stage]
}

final class Stages {
    /// What a picture shows, how probable the network finds it, 0...1, and at which exit it left, from 0.
    struct Left {
        let label: String
        let probability: Double
        let exit: Int
    }

    private let chain: Chain
    private let first: Network
    private let later: [MLModel]

    /// - Parameters:
    ///   - chain: Bundle.main.url(forResource: "chain", withExtension: "json")
    ///   - stages: of the compiled models, in their order:
    ///     Bundle.main.url(forResource: "stage1.int8", withExtension: "mlmodelc"), and so on
    init(chain: URL, stages: [URL]) throws {
        self.chain = try JSONDecoder().decode(Chain.self, from: Data(contentsOf: chain))
        first = try Network(url: stages[0])
        later = try stages.dropFirst().map { try MLModel(contentsOf: $0) }
    }

    /// What a picture shows.
    func classify(_ picture: CGImage, orientation: CGImagePropertyOrientation = .up) throws -> Left? {
        var given: [String: MLMultiArray] = [:]
        for case let seen as VNCoreMLFeatureValueObservation in try first.run(picture, orientation: orientation) {
            given[seen.featureName] = seen.featureValue.multiArrayValue
        }
        for (place, stage) in chain.stages.enumerated() {
            guard let logits = given[stage.exit] else { return nil }
            let values = (0..<logits.count).map { logits[$0].doubleValue }
            let sum = self.sum(values, stage.rule)
            if place == later.count || sum <= stage.rule.limit {
                let best = values.indices.max(by: { values[$0] < values[$1] })!
                return Left(label: first.label(best), probability: one / Double(sum), exit: place)
            }
            guard let map = given["map"] else { return nil }
            given = try run(later[place], map)
        }
        return nil
    }

    /// What a stage gives for the map that the stage before it gave.
    private func run(_ stage: MLModel, _ map: MLMultiArray) throws -> [String: MLMultiArray] {
        let name = stage.modelDescription.inputDescriptionsByName.keys.first!
        let answers = try stage.prediction(from: MLDictionaryFeatureProvider(dictionary: [name: map]))
        return answers.featureNames.reduce(into: [:]) { $0[$1] = answers.featureValue(for: $1)?.multiArrayValue }
    }

    /// The exponentials of all logits over that of the largest, in fixed point. Logits are whole steps apart.
    private func sum(_ logits: [Double], _ rule: Chain.Rule) -> Int {
        let most = logits.max()!
        return logits.reduce(0) { $0 + rule.table[min(Int(((most - $1) / rule.scale).rounded()), rule.table.count - 1)] }
    }

    private let one = 1048576.0  // what a probability of 1 is, in fixed point
}
