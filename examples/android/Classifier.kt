// Names what a picture shows, with a .tflite file that edgekit exported, on Android. It needs Network.kt.
//
//   edgekit export mobilenet_v3_small.pth --device android --calib images/ --labels labels.txt --out exported

import android.content.Context
import android.graphics.Bitmap
import kotlin.math.exp

class Classifier(context: Context) : AutoCloseable {
    private val network = Network(context)

    /** What an upright picture shows, and how probable the network finds it, 0..1. */
    fun classify(picture: Bitmap): Pair<String, Double> {
        val logits = network.run(picture).getValue("logits")  // with --probabilities softmax, probabilities stand beside them
        val best = logits.indices.maxByOrNull { logits[it] }!!
        return Pair(network.label(best), 1 / logits.sumOf { exp((it - logits[best]).toDouble()) })
    }

    override fun close() = network.close()
}
